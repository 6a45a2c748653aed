// SPDX-License-Identifier: MIT
#include "crash/process.hpp"

#include "crash/failure.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::crash {

pid_t fork_bound(const std::function<void()>& body) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) fail_with_errno("fork");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0); // it died before the line above
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "deadbolt crash-test: %s\n", error.what());
    _exit(70);
  }
  _exit(0);
}

void kill_and_reap(pid_t child) noexcept {
  if (child <= 0) return;
  kill(child, SIGKILL);
  while (waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

namespace {

// The beginning of a process's file in /proc; empty when there is none.
struct proc_text {
  char text[64] = {};
  proc_text(pid_t pid, const char* file_name) noexcept {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/%s", pid, file_name);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    if (read(file, text, sizeof text - 1) <= 0) text[0] = '\0';
    close(file);
  }
};

} // namespace

bool sleeps_in_futex(pid_t tid) noexcept {
  // "running", or the number of the system call that the thread is blocked in. The
  // kernel looks only when the thread is off its processor.
  const proc_text call{tid, "syscall"};
  if (call.text[0] < '0' || call.text[0] > '9') return false;
  const long number = std::strtol(call.text, nullptr, 10);
  return number == SYS_futex || number == SYS_futex_waitv;
}

std::chrono::nanoseconds waited_for_processor(pid_t pid) noexcept {
  // Time on a processor, time without one, and turns.
  const proc_text times{pid, "schedstat"};
  char* rest = nullptr;
  std::strtoull(times.text, &rest, 10);
  return std::chrono::nanoseconds{std::strtoll(rest, nullptr, 10)};
}

bool poll_until(const std::function<bool()>& done, std::chrono::milliseconds patience) {
  using clock = std::chrono::steady_clock;
  const clock::time_point end = clock::now() + patience;
  for (;;) {
    if (done()) return true;
    if (clock::now() >= end) return false;
    const timespec pause{0, 50'000};
    nanosleep(&pause, nullptr);
  }
}

} // namespace deadbolt::crash
