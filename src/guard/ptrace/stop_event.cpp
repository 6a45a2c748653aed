// SPDX-License-Identifier: MIT
#include "guard/ptrace/stop_event.hpp"

#include <csignal>
#include <sys/ptrace.h>
#include <sys/wait.h>

namespace deadbolt::guard {
namespace {

bool stops_a_process(int signal) noexcept {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

} // namespace

stop_event classify_stop(pid_t tid, int wait_status) noexcept {
  stop_event event{.tid = tid, .status = wait_status};
  if (!WIFSTOPPED(wait_status)) return event;
  const int signal = WSTOPSIG(wait_status);
  switch (wait_status >> 16) {
  case 0:
    event.kind = stop_kind::signal_delivery;
    event.signal = signal;
    return event;
  case PTRACE_EVENT_EXIT:
    event.kind = stop_kind::exiting;
    return event;
  case PTRACE_EVENT_FORK:
  case PTRACE_EVENT_VFORK:
  case PTRACE_EVENT_CLONE:
    event.kind = stop_kind::new_thread;
    return event;
  case PTRACE_EVENT_EXEC:
    event.kind = stop_kind::executed;
    return event;
  case PTRACE_EVENT_STOP:
    if (stops_a_process(signal)) {
      event.kind = stop_kind::group_stop;
      event.signal = signal;
      return event;
    }
    [[fallthrough]];
  default:
    event.kind = stop_kind::notice;
    return event;
  }
}

} // namespace deadbolt::guard
