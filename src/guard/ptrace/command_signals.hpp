// SPDX-License-Identifier: MIT
// Signals of a process that stands in for its command: all blocked, read one by
// one, passed on where the command has not had them anyway.
#ifndef DEADBOLT_GUARD_PTRACE_COMMAND_SIGNALS_HPP
#define DEADBOLT_GUARD_PTRACE_COMMAND_SIGNALS_HPP

#include <csignal>
#include <functional>
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

// Stops this process as a signal stopped the command, for the shell to see, unless
// still_stopped says that the command is not stopped any more. Returns when this
// process is continued. A stop by SIGSTOP shows as one by SIGTSTP.
//
// Whoever continues the command, or sees it end, sends this process a SIGCONT after
// that. None is missed: our own stop signal is pending, but blocked, before we
// look; a SIGCONT from before it finds the command continued, a later one takes
// the pending signal away.
void stop_alike(int signal, const std::function<bool()>& still_stopped);

} // namespace deadbolt::guard
#endif
