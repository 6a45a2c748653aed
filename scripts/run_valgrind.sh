#!/bin/sh
# SPDX-License-Identifier: MIT
# run_valgrind.sh BUILD: runs under Valgrind the tests that mean the same there as without it: it
# runs one thread of a process at a time. Each takes seconds. The main reasons why others are left
# out:
#   unit/unlock_stepped_test, region/region_kill_test, region/region_shared_kill_test, crash/,
#   guard/: they step through instructions, which would be Valgrind's own
#   region/region_namespace_test, region/region_service_test: Valgrind has no clone with
#   namespaces, no chroot into a directory without its own files, and no mremap of a size of 0
#   pi/priority_queue_test, conformance pthread_pi, unit/robust_mutex_timed_test: wait on PI
#   futexes; Valgrind 3.19 loses those wakes, the libc's too
#   one test of region/region_death_test: it measures how late eight waiters are, which Valgrind
#   runs one after the other
#   one test of unit/unlock_bad_words_test: writes through a null pointer, on purpose
#   storm/: needs threads that run at the same time
set -u
build=$1
output=$(mktemp) || exit 2
trap 'rm -f "$output"' EXIT INT TERM
failed=0 run=0

# Valgrind schedules the threads in turn, because many tests have threads that wait for each other.
turns=try

# PROGRAM [ARGUMENTS]
check() {
  program=$1
  shift
  run=$((run + 1))
  if timeout 300 valgrind -q --fair-sched=$turns --error-exitcode=9 "$build/tests/$program" "$@" \
    </dev/null >"$output" 2>&1; then
    echo "ok     $program $*"
  else
    failed=$((failed + 1))
    tail -n 60 "$output"
    echo "FAILED $program $*"
  fi
}

for program in \
  unit/engine_choice_test unit/fork_test unit/futex_wake_op_test unit/libc_neighbours_test \
  unit/quiescence_looks_test unit/robust_mutex_misuse_test \
  unit/robust_mutex_results_test unit/robust_mutex_waiters_test unit/standard_wrappers_test \
  unit/thread_without_list_test unit/unlock_functions_test \
  unit/unlock_in_sandbox_test unit/spin_test unit/vdso_image_test \
  region/region_c_abi_test region/region_c_waiting_test region/region_condition_variable_test \
  region/region_counting_semaphore_test region/region_file_test region/region_hostile_test \
  region/region_member_test region/region_mutex_test region/region_shared_death_test \
  region/region_shared_mutex_test region/region_waiting_death_test \
  pi/robust_pi_mutex_test pi/priority_inheritance_test \
  shared_list/shared_list_any_order shared_list/shared_list_fork_child \
  shared_list/shared_list_killed_holder shared_list/shared_list_random_kills \
  shared_list/shared_list_thread_exit \
  cli/doctor_command_test cli/doctor_judgement_test cli/doctor_region_test cli/inspect_test; do
  check "$program"
done
check unit/unlock_bad_words_test --gtest_filter=-*.null_head_faults_at_its_own_pending_slot
check region/region_death_test \
  --gtest_filter=-region_death.death_wakes_the_waiters_of_every_lock_at_once
# This test stops threads. With turns, no thread could run after the turn of a stopped one.
turns=no
check unit/quiescence_test
turns=try
for kind in pthread_robust robust_mutex robust_pi_mutex mutex; do
  check conformance/conformance "$kind"
done
echo "valgrind: $run programs, $failed failed"
[ $failed -eq 0 ]
