// SPDX-License-Identifier: MIT
// Child processes that cannot outlive their parent, and what they are doing.
#ifndef DEADBOLT_TRACE_PROCESS_HPP
#define DEADBOLT_TRACE_PROCESS_HPP

#include <chrono>
#include <functional>
#include <string>
#include <sys/types.h>
#include <utility>

namespace deadbolt::trace {

// SIGKILL ends the calling process when `parent` ends; if that has happened, the process ends now.
// A process that changes its user must call it again: the kernel then forgets the signal.
void end_with(pid_t parent) noexcept;

// Forks a child that runs `body` and exits with status 0. SIGKILL ends the child when the calling
// thread ends. With clone flags (CLONE_NEWPID) the fork is a bare clone. -1, with errno, on
// failure.
[[nodiscard]] pid_t launch(const std::function<void()>& body, unsigned long clone_flags = 0);

// Kills and reaps a child of the caller. Does nothing if `child` is not positive.
void kill_and_reap(pid_t child) noexcept;

// A launched child, killed and reaped with the object.
class child_process {
public:
  explicit child_process(pid_t pid) noexcept : pid_{pid} {}
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process() { kill(); }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void kill() noexcept { kill_and_reap(std::exchange(pid_, 0)); }

private:
  pid_t pid_;
};

// Whether the thread sleeps in that system call: it is off its processor, and in a futex call it is
// queued on the word. Needs /proc.
[[nodiscard]] bool sleeps_in(pid_t tid, long system_call) noexcept;
[[nodiscard]] bool sleeps_in_futex(pid_t tid) noexcept;
// Why sleeps_in_futex() cannot tell here, with the remedy; empty if it can.
[[nodiscard]] std::string find_proc_refusal();

// How long the process has been ready to run without a processor, in total. 0 if the kernel does
// not count that.
[[nodiscard]] std::chrono::nanoseconds waited_for_processor(pid_t pid) noexcept;

// Calls `done` until it returns true, or until the patience is over: false.
[[nodiscard]] bool poll_until(const std::function<bool()>& done,
                              std::chrono::milliseconds patience);

// Long enough for anything that is not stuck, on a busy machine too.
inline constexpr std::chrono::milliseconds ample_time{10'000};

} // namespace deadbolt::trace
#endif
