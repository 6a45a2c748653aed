// SPDX-License-Identifier: MIT
// What a wait status of a seized thread says.
#ifndef DEADBOLT_GUARD_PTRACE_STOP_EVENT_HPP
#define DEADBOLT_GUARD_PTRACE_STOP_EVENT_HPP

#include <cstdint>
#include <sys/types.h>

namespace deadbolt::guard {

enum class stop_kind : std::uint8_t {
  ended,           // no stop: the thread is gone, nothing to resume
  exiting,         // PTRACE_EVENT_EXIT: registers intact, robust list not yet walked
  signal_delivery, // about to take `signal`; no frame pushed yet
  group_stop,      // job control stopped the process, by `signal`
  notice,          // a seized thread's first stop, an interrupt, or the end of a group stop
  new_thread,      // fork, vfork or clone: the new thread is a tracee already
  executed,        // execve done; the message is the thread's former id
};

struct stop_event {
  pid_t tid = 0;
  stop_kind kind = stop_kind::ended;
  int signal = 0; // of signal_delivery and group_stop
  int status = 0; // as waitpid gave it
};

[[nodiscard]] stop_event classify_stop(pid_t tid, int wait_status) noexcept;

} // namespace deadbolt::guard
#endif
