// SPDX-License-Identifier: MIT
#include "trace/process.hpp"

#include <base/descriptor.hpp>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::trace {

void end_with(pid_t parent) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the prctl() above took effect. A parent outside the child's PID
  // namespace is 0.
  if (const pid_t seen = ::getppid(); seen != parent && seen != 0) ::_exit(0);
}

pid_t launch(const std::function<void()>& body, unsigned long clone_flags) {
  const pid_t parent = ::getpid();
  const pid_t child =
      clone_flags == 0
          ? ::fork()
          : static_cast<pid_t>(::syscall(SYS_clone, clone_flags | SIGCHLD, 0, 0, 0, 0));
  if (child != 0) return child;
  end_with(parent);
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "deadbolt: a child process failed: %s\n", error.what());
    ::_exit(70);
  }
  ::_exit(0);
}

void kill_and_reap(pid_t child) noexcept {
  if (child <= 0) return;
  ::kill(child, SIGKILL);
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

namespace {

// The beginning of a process's file in /proc; empty when there is none.
struct proc_text {
  char text[64] = {};
  proc_text(pid_t pid, const char* file_name) noexcept {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/%s", pid, file_name);
    const base::descriptor file{::open(path, O_RDONLY | O_CLOEXEC)};
    if (file && ::read(file.get(), text, sizeof text - 1) <= 0) text[0] = '\0';
  }
};

// The number of the system call in which the thread is blocked; -1: it is in none.
long call_of_sleeper(pid_t tid) noexcept {
  // "running", or the number. The kernel answers with a number only when the thread is off its
  // processor.
  const proc_text call{tid, "syscall"};
  return call.text[0] < '0' || call.text[0] > '9' ? -1 : std::strtol(call.text, nullptr, 10);
}

} // namespace

bool sleeps_in_futex(pid_t tid) noexcept {
  const long number = call_of_sleeper(tid);
  return number == SYS_futex || number == SYS_futex_waitv;
}

bool sleeps_in(pid_t tid, long system_call) noexcept {
  return call_of_sleeper(tid) == system_call;
}

std::string find_proc_refusal() {
  // The caller is inside read() of this very file: the kernel shows that call's number.
  const std::string expected = std::to_string(SYS_read) + ' ';
  if (std::strncmp(proc_text{::getpid(), "syscall"}.text, expected.c_str(), expected.size()) == 0)
    return {};
  return "/proc/PID/syscall, which says whether a waiter sleeps, cannot be read: mount /proc for "
         "this "
         "PID namespace; the kernel needs CONFIG_HAVE_ARCH_TRACEHOOK";
}

std::chrono::nanoseconds waited_for_processor(pid_t pid) noexcept {
  // Nanoseconds on a processor, nanoseconds ready without one, and time slices.
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
    ::nanosleep(&pause, nullptr);
  }
}

} // namespace deadbolt::trace
