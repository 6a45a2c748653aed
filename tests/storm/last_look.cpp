// SPDX-License-Identifier: MIT
#include "ending.hpp"
#include "storm.hpp"

#include <csignal>
#include <fmt/core.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace deadbolt::storm::detail {
namespace {

[[noreturn]] void take_every_permit(const stage& stage) {
  for (std::uint32_t permit = 0; permit < stage.permits; ++permit) {
    for (std::uint32_t i = 0; i < locks; ++i) {
      if (!crash::held(stage.subject.lock(stage.lock(i)))) _exit(static_cast<int>(i) + 1);
    }
  }
  _exit(0);
}

} // namespace

std::string try_every_lock(const stage& stage, const options& options) {
  const pid_t child = fork();
  if (child < 0) return "no process could be started to try every lock";
  if (child == 0) take_every_permit(stage);
  int status = 0;
  const auto patience = std::chrono::duration_cast<std::chrono::nanoseconds>(options.patience);
  const std::int64_t deadline = now() + locks * patience.count();
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (now() > deadline) kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (status == 0) return {};
  if (is_from(way::sigkill, status)) return "lost: a lock that no thread holds cannot be acquired";
  if (WIFEXITED(status))
    return fmt::format("lost: lock {} is refused at the end", WEXITSTATUS(status) - 1);
  return fmt::format("the process that tried every lock at the end {}", text_of(status));
}

} // namespace deadbolt::storm::detail
