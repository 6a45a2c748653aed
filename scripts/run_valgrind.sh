#!/bin/sh
# SPDX-License-Identifier: MIT
# run_valgrind.sh BUILD: the suites whose programs mean the same under Valgrind, which runs
# one thread of a process at a time. Left out: what steps through instructions, enters
# namespaces, or waits on PI futexes with a time (Valgrind 3.19 loses those wakes, the
# libc's too).
set -u
build=$1
output=$(mktemp) || exit 2
trap 'rm -f "$output"' EXIT INT TERM
failed=0 run=0
for program in \
  unit/engine_choice_test unit/fork_test unit/futex_wake_op_test unit/libc_neighbours_test \
  unit/quiescence_test unit/quiescence_looks_test unit/robust_mutex_misuse_test \
  unit/robust_mutex_results_test unit/robust_mutex_waiters_test unit/standard_wrappers_test \
  unit/thread_without_list_test unit/unlock_bad_words_test unit/unlock_functions_test \
  unit/unlock_in_sandbox_test region/region_c_abi_test region/region_file_test \
  region/region_member_test region/region_mutex_test region/region_shared_mutex_test; do
  run=$((run + 1))
  if timeout 300 valgrind -q --fair-sched=try --error-exitcode=9 "$build/tests/$program" \
    </dev/null >"$output" 2>&1; then
    echo "ok     $program"
  else
    failed=$((failed + 1))
    tail -n 60 "$output"
    echo "FAILED $program"
  fi
done
echo "valgrind: $run programs, $failed failed"
[ $failed -eq 0 ]
