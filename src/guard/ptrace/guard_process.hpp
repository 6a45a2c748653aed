// SPDX-License-Identifier: MIT
// The guard: a process that does nothing but trace. It has no terminal, and lives until its last
// tracee is gone, also after the process that started it has ended.
#ifndef DEADBOLT_GUARD_PTRACE_GUARD_PROCESS_HPP
#define DEADBOLT_GUARD_PTRACE_GUARD_PROCESS_HPP

#include "guard/ptrace/stop_handler.hpp"
#include <base/descriptor.hpp>

#include <optional>
#include <sys/types.h>

namespace deadbolt::guard {

// The guard sends it when the command has ended and, if other tracees were left then, again when
// the last of them is gone.
struct guard_message {
  guard_counts counts;
  bool last = false; // no tracee is left, the guard ends
};

// The end of the process that starts the guard. All messages pass over one SOCK_SEQPACKET socket:
// the command's process id to the guard; back the errno value of the seize, and one or two
// guard_messages.
class guard_process {
public:
  // Forks the guard. Called with every signal blocked and with one thread.
  // 0 or an errno value.
  [[nodiscard]] int start(const window_set& libcs) noexcept;
  // Makes the guard seize a process that has one thread. 0, the errno value of
  // the refused request, or EPIPE when the guard is gone.
  [[nodiscard]] int seize(pid_t command) noexcept;
  // Waits for the next message. Nothing if the guard was killed.
  [[nodiscard]] std::optional<guard_message> next_message() noexcept;
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
  base::descriptor socket_;
  pid_t pid_ = -1;
};

} // namespace deadbolt::guard
#endif
