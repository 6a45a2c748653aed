// SPDX-License-Identifier: MIT
#include "ending.hpp"

#include <csignal>
#include <cstring>
#include <fmt/core.h>
#include <sys/wait.h>

namespace deadbolt::storm::detail {
namespace {

bool exited_with(int wait_status, int exit_status) noexcept {
  return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == exit_status;
}
bool killed_by(int wait_status, int signal) noexcept {
  return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == signal;
}

} // namespace

bool is_from(way how, int wait_status) noexcept {
  switch (how) {
  case way::sigkill:
    return killed_by(wait_status, SIGKILL);
  case way::sigsegv:
    return killed_by(wait_status, SIGSEGV);
  case way::exit_group:
    return exited_with(wait_status, group_exit_status);
  case way::exec:
    break;
  }
  return exited_with(wait_status, exec_status);
}

bool is_from_calm(int wait_status) noexcept {
  return exited_with(wait_status, calm_status);
}

std::string text_of(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    return fmt::format("was killed by signal {} ({})", signal, strsignal(signal));
  }
  if (WIFEXITED(wait_status)) return fmt::format("exited with {}", WEXITSTATUS(wait_status));
  return fmt::format("ended with wait status {:#x}", wait_status);
}

bool has_ended(pid_t child) noexcept {
  siginfo_t about{};
  return waitid(P_PID, static_cast<id_t>(child), &about, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         about.si_pid == child;
}

} // namespace deadbolt::storm::detail
