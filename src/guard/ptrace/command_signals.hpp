// SPDX-License-Identifier: MIT
// Signals of a process that stands in for its command: all blocked, read one by
// one, passed on where the command has not had them anyway.
#ifndef DEADBOLT_GUARD_PTRACE_COMMAND_SIGNALS_HPP
#define DEADBOLT_GUARD_PTRACE_COMMAND_SIGNALS_HPP

#include <csignal>
#include <sys/types.h>

namespace deadbolt::guard {

class command_signals {
public:
  // Blocks every signal and makes SIGCHLD waitable, whatever was inherited.
  command_signals() noexcept;
  command_signals(const command_signals&) = delete;
  command_signals& operator=(const command_signals&) = delete;
  ~command_signals() { restore(); }

  // What the command must inherit. In the child.
  void restore() const noexcept;
  // Waits for one.
  [[nodiscard]] siginfo_t next() const noexcept;

private:
  sigset_t all_;
  sigset_t inherited_mask_;
  struct sigaction inherited_child_action_;
};

// Signals from a terminal go to the whole foreground process group, so the command
// has them; those that a process sent to the stand-in are meant for the command.
[[nodiscard]] bool is_for_the_command(const siginfo_t& info) noexcept;
void pass_on(pid_t command, const siginfo_t& info) noexcept;

// Stops this process as `signal` stopped the command, for the shell to see.
// Returns when it is continued.
void stop_alike(int signal) noexcept;

} // namespace deadbolt::guard
#endif
