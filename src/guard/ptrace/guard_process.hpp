// SPDX-License-Identifier: MIT
// The process that traces: it does nothing else, has no terminal, and outlives
// whoever started it until its last tracee is gone.
#ifndef DEADBOLT_GUARD_PTRACE_GUARD_PROCESS_HPP
#define DEADBOLT_GUARD_PTRACE_GUARD_PROCESS_HPP

#include "guard/ptrace/stop_handler.hpp"
#include <base/descriptor.hpp>

#include <optional>
#include <sys/types.h>

namespace deadbolt::guard {

// What the guard tells when the command has ended, and, if others were left then,
// once more when the last of them is gone.
struct guard_message {
  guard_counts counts;
  bool last = false; // no tracee is left, the guard ends
};

// The starter's end. Everything is a message on one SOCK_SEQPACKET socket:
// command's id ->, <- errno of the seize, <- one or two guard_messages.
class guard_process {
public:
  // Forks the guard. Called with every signal blocked and with one thread.
  // 0 or an errno value.
  [[nodiscard]] int start(const window_set& libcs) noexcept;
  // Makes the guard seize a process that has one thread. 0, the errno value of
  // the refused request, or EPIPE when the guard is gone.
  [[nodiscard]] int seize(pid_t command) noexcept;
  // Waits for the next one. Nothing when the guard ended without a word: it was
  // killed.
  [[nodiscard]] std::optional<guard_message> next_message() noexcept;
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
  base::descriptor socket_;
  pid_t pid_ = -1;
};

} // namespace deadbolt::guard
#endif
