// SPDX-License-Identifier: MIT
#include "guard/ptrace/command_signals.hpp"

#include <cerrno>
#include <ctime>
#include <unistd.h>

namespace deadbolt::guard {

command_signals::command_signals() noexcept {
  ::sigfillset(&all_);
  ::pthread_sigmask(SIG_BLOCK, &all_, &inherited_mask_);
  struct sigaction default_action {};
  default_action.sa_handler = SIG_DFL;
  // An inherited SIG_IGN would have the kernel reap the command behind our back.
  ::sigaction(SIGCHLD, &default_action, &inherited_child_action_);
}

void command_signals::restore() const noexcept {
  ::sigaction(SIGCHLD, &inherited_child_action_, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &inherited_mask_, nullptr);
}

siginfo_t command_signals::next() const noexcept {
  siginfo_t info{};
  while (::sigwaitinfo(&all_, &info) < 0) {
  }
  return info;
}

bool is_for_the_command(const siginfo_t& info) noexcept {
  if (info.si_signo == SIGCHLD || info.si_signo == SIGCONT) return false;
  return info.si_code <= 0; // SI_USER, SI_QUEUE, SI_TKILL; a terminal's is SI_KERNEL
}

void pass_on(pid_t command, const siginfo_t& info) noexcept {
  if (info.si_code == SI_QUEUE)
    ::sigqueue(command, info.si_signo, info.si_value);
  else
    ::kill(command, info.si_signo);
}

void stop_alike(int signal, const std::function<bool()>& still_stopped) {
  // SIGSTOP cannot be held back until we have looked.
  const int ours = signal == SIGSTOP ? SIGTSTP : signal;
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, ours);
  struct sigaction stop_action {};
  struct sigaction inherited;
  stop_action.sa_handler = SIG_DFL;
  ::sigaction(ours, &stop_action, &inherited);
  // Merges with the terminal's own, which came to us as well as to the command.
  ::kill(::getpid(), ours);
  if (still_stopped()) {
    ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr); // stops here
    ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
  } else {
    const timespec at_once{};
    ::sigtimedwait(&one, nullptr, &at_once);
  }
  ::sigaction(ours, &inherited, nullptr);
}

} // namespace deadbolt::guard
