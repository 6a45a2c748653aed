// SPDX-License-Identifier: MIT
// Starts programs with and without `deadbolt run` and observes them; every wait has a deadline.
#ifndef DEADBOLT_TESTS_GUARD_RUN_HARNESS_HPP
#define DEADBOLT_TESTS_GUARD_RUN_HARNESS_HPP

#include "base/descriptor.hpp"
#include "victim_memory.hpp"

#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace guard_test {

using words = std::vector<std::string>;

// True as soon as the condition holds, false when it does not within 20 s.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

// A field of /proc/ID/status, -1 if there is none.
[[nodiscard]] long status_number(pid_t tid, const char* key);
[[nodiscard]] std::string command_name(pid_t tid);
[[nodiscard]] char process_state(pid_t pid); // '-' when it is gone

// The command line that runs `command` under the guard.
[[nodiscard]] words guarded(const words& command, const words& options = {});

// A child process with its output in a pipe; killed when it goes out of scope.
class child_process {
public:
  // before_exec runs in the child.
  explicit child_process(
      const words& command, const std::function<void()>& before_exec = [] {});
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // Its wait status, if it has ended.
  bool has_ended(int& status);
  // Waits for its end. The wait status; -1 if the deadline came first.
  int wait();
  // The next bytes of its output; fewer at its end or at the deadline.
  std::string read(std::size_t bytes);
  // stdout and stderr until their end. Read before waiting for the process: a full pipe would block
  // it.
  std::string output();

private:
  pid_t pid_ = -1;
  bool reaped_ = false;
  deadbolt::base::descriptor output_;
};

struct outcome {
  int status; // exit status, 1000 + signal for death by one, -1 for none in time
  std::string output;
};
[[nodiscard]] outcome run_to_end(
    const words& command, const std::function<void()>& before_exec = [] {});

// A guard_victim, guarded or not, and the memory it shares with the test.
class victim {
public:
  victim(const std::string& mode, bool under_guard, const words& options = {});
  victim(const victim&) = delete;
  victim& operator=(const victim&) = delete;
  ~victim();

  [[nodiscard]] victim_memory& memory() const noexcept { return *memory_; }
  [[nodiscard]] child_process& process() noexcept { return *process_; }
  // The word is released, list_op_pending is still set.
  [[nodiscard]] bool is_in_window() const;
  [[nodiscard]] pid_t tid() const { return static_cast<pid_t>(memory_->tid.load()); }
  [[nodiscard]] pid_t pid() const { return static_cast<pid_t>(memory_->pid.load()); }
  // Another owner freed the lock's memory, which now holds a value equal to the victim's TID.
  void reuse_the_word() { memory_->word = memory_->tid.load(); }
  // Its process has ended, and the exit walk with it.
  [[nodiscard]] bool is_gone() const;

private:
  deadbolt::base::descriptor file_;
  victim_memory* memory_;
  std::unique_ptr<child_process> process_;
};

} // namespace guard_test
#endif
