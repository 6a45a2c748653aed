// SPDX-License-Identifier: MIT
#include "crash/catalogue.hpp"

#include "crash/bpf_guard.hpp"
#include "crash/ptrace_guard.hpp"
#include "crash/scenarios/waiter.hpp"
#include "crash/scenarios/window.hpp"
#include "crash/scenarios/woken.hpp"
#include "crash/subjects/condition_variable.hpp"
#include "crash/subjects/counting_semaphore.hpp"
#include "crash/subjects/glibc_mutex.hpp"
#include "crash/subjects/mutex.hpp"
#include "crash/subjects/robust_mutex.hpp"
#include "crash/subjects/shared_mutex.hpp"

#include <array>

namespace deadbolt::crash {
namespace {

template <const window_plan& Plan>
const scenario* window() {
  static const window_scenario instance{Plan};
  return &instance;
}

constexpr window_plan reuse{
    .name = "reuse",
    .family = "reuse",
    .summary =
        "the holder is killed in unlock; once the lock is released another process takes and "
        "destroys it, and its memory becomes data equal to the victim's TID",
    .reuse = reuse_by::other_process,
    .death = death_by::sigkill};

constexpr window_plan reuse_exit_group{
    .name = "reuse_exit_group",
    .family = "reuse",
    .summary = "reuse, and the death is exit_group by another thread of the victim's process",
    .reuse = reuse_by::other_process,
    .death = death_by::exit_group};

constexpr window_plan reuse_execve{
    .name = "reuse_execve",
    .family = "reuse",
    .summary = "reuse, and the death is execve by another thread of the victim's process",
    .reuse = reuse_by::other_process,
    .death = death_by::execve};

constexpr window_plan remap{
    .name = "remap",
    .family = "remap",
    .summary =
        "once the lock is released another thread of the victim's process takes and releases "
        "it and maps a file that holds the TID over it",
    .reuse = reuse_by::victims_thread,
    .death = death_by::sigkill};

constexpr window_plan handler{
    .name = "handler",
    .family = "handler",
    .summary = "reuse, and a signal handler runs at that instruction and the process is killed "
               "inside it",
    .reuse = reuse_by::other_process,
    .death = death_by::sigkill_in_handler};

constexpr window_plan exec_self{
    .name = "exec_self",
    .family = "exec_self",
    .summary = "reuse, and the holder, the leader of its process, calls execve (from a signal "
               "handler at that instruction)",
    .reuse = reuse_by::other_process,
    .death = death_by::execve_in_handler};

constexpr window_plan exec_self_thread{
    .name = "exec_self_thread",
    .family = "exec_self",
    .summary = "exec_self by a holder that is not the leader",
    .reuse = reuse_by::other_process,
    .death = death_by::execve_in_handler,
    .leader = false,
    .kernel_limit = "the kernel gives a thread that calls execve the leader's TID before it looks "
                    "for its locks, and then finds none of them"};

} // namespace

std::span<const subject* const> all_subjects() {
  static const glibc_mutex glibc;
  static const glibc_mutex glibc_pi{PTHREAD_PRIO_INHERIT};
  static const robust_mutex_subject robust_mutex;
  static const robust_pi_mutex_subject robust_pi_mutex;
  static const mutex_subject mutex;
  static const shared_mutex_subject shared{side::writer, side::writer};
  static const shared_mutex_subject shared_reader{side::reader, side::writer};
  static const shared_mutex_subject shared_readers{side::writer, side::reader};
  static const condition_variable_subject condition{last_step::unlock};
  static const condition_variable_subject condition_late{last_step::notify};
  static const counting_semaphore_subject semaphore{1};
  static const counting_semaphore_subject semaphore_pair{2};
  static const std::array<const subject*, 12> all{
      &glibc,     &glibc_pi,       &robust_mutex,  &robust_pi_mutex,
      &mutex,     &shared,         &shared_reader, &shared_readers,
      &condition, &condition_late, &semaphore,     &semaphore_pair};
  return all;
}

std::span<const scenario* const> all_scenarios() {
  static const waiter_scenario waiter;
  static const woken_scenario woken;
  static const std::array<const scenario*, 9> all{window<reuse>(),
                                                  window<reuse_exit_group>(),
                                                  window<reuse_execve>(),
                                                  window<remap>(),
                                                  &waiter,
                                                  window<handler>(),
                                                  window<exec_self>(),
                                                  window<exec_self_thread>(),
                                                  &woken};
  return all;
}

std::span<const guard_driver* const> all_guards() {
  static const no_guard none;
  static const ptrace_guard ptrace;
  static const bpf_guard bpf;
  static const std::array<const guard_driver*, 3> all{&none, &ptrace, &bpf};
  return all;
}

} // namespace deadbolt::crash
