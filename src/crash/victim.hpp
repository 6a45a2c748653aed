// SPDX-License-Identifier: MIT
// The target of an attack: the memory with the locks, and the process that is stopped at one
// instruction of a lock operation and killed there.
#ifndef DEADBOLT_CRASH_VICTIM_HPP
#define DEADBOLT_CRASH_VICTIM_HPP

#include "crash/guards.hpp"
#include "crash/helper_process.hpp"
#include "crash/path.hpp"
#include "crash/subject.hpp"
#include "trace/stepper.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sys/types.h>

namespace deadbolt::crash {

// The lock under attack on pages of its own, and more locks of the same kind, each on its own
// pages. The memory is of the subject's choice, and shared with every process that is forked later.
class trial_memory {
public:
  static constexpr std::size_t companions = 2;

  explicit trial_memory(const subject& subject);
  trial_memory(const trial_memory&) = delete;
  trial_memory& operator=(const trial_memory&) = delete;
  ~trial_memory();

  [[nodiscard]] void* lock() const noexcept { return at(0); }
  [[nodiscard]] std::size_t lock_length() const noexcept { return stride_; }
  // Locks that the victim holds too. If it is attacked in its unlock, it takes one before and one
  // after the lock under attack, so that this lock is in the middle of its robust list; if in its
  // lock, both before.
  [[nodiscard]] void* companion(std::size_t index) const noexcept { return at(1 + index); }
  // For subject::enter_thread() in the stepped thread.
  [[nodiscard]] void* scratch() const noexcept { return at(1 + companions); }

private:
  [[nodiscard]] void* at(std::size_t index) const noexcept {
    return static_cast<std::byte*>(base_) + index * stride_;
  }

  const subject& subject_;
  std::size_t stride_;
  void* base_;
};

// The vDSO of this process. Victims are forks of it and have it at the same place.
[[nodiscard]] bool is_in_vdso(trace::address address);
// The first instruction of its clock_gettime; 0 if there is none. That function starts again
// whenever the kernel has updated the vDSO's data meanwhile, some hundred times a second: on a slow
// machine a stepped thread would never leave it.
[[nodiscard]] trace::address clock_in_vdso();

enum class stepped_operation : std::uint8_t {
  lock,   // begins with the lock not held by the victim
  unlock, // begins with the lock held by the victim
};

struct victim_plan {
  stepped_operation operation;
  // The stepped thread is the leader of its process; if not, the leader only waits.
  bool leader = true;
  // The process has a second thread, which serves a channel.
  bool second_thread = false;
  // The signal handler calls execve of this descriptor; -1: it waits to be killed.
  int handler_executes = -1;
  // For kill_and_reap_memory(), which a victim that sleeps could not be prepared for later.
  bool stops_at_exit = false;
};

// When the constructor returns, the victim holds its locks and is stopped at the operation's first
// instruction.
class victim {
public:
  victim(const subject& subject, const guard_driver& guard, const trial_memory& memory,
         const victim_plan& plan);
  victim(const victim&) = delete;
  victim& operator=(const victim&) = delete;
  ~victim();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // Of the stepped thread.
  [[nodiscard]] pid_t tid() const noexcept { return stepper_.thread().tid(); }
  // The instruction that would be executed next.
  [[nodiscard]] trace::address instruction_pointer() const noexcept { return stepper_.at().ip(); }
  [[nodiscard]] const channel& second_thread() const noexcept { return channel_; }

  // Executes `count` instructions, or fewer if the operation ends or the thread goes to sleep in a
  // lock operation. Returns how many. The vDSO's clock counts as one instruction.
  //
  // It steps, and records the path if one is to be recorded. Along a known path it runs to a
  // breakpoint near its goal instead: a step takes some 10 us, and there is a victim for each
  // instruction, so that steps alone would take time with the square of the path's length. Throws
  // other_path if the victim does not take that path.
  std::uint32_t advance(std::uint32_t count, path* recorded, const path* known);
  // Whether the kernel knows that an unlock has begun. It may then finish the unlock instead of
  // marking the lock as a dead owner's.
  [[nodiscard]] bool kernel_may_finish_unlock() const;
  // Runs on until the thread sleeps in a lock operation.
  void run_to_sleep();
  // Call this after run_to_sleep(): waits until the thread stops after the system call that it
  // slept in, and returns the call's result; nothing if it still sleeps when the patience is over.
  [[nodiscard]] std::optional<std::int64_t> await_wake(std::chrono::milliseconds patience);
  // Sends a signal, calls the guard at its delivery, and stops inside the handler.
  void enter_handler();
  // From inside the handler: lets it call execve, and stops in the new program.
  void execute();

  // SIGKILL, and reap().
  void kill();
  // The same, and process_mrelease() while the dying thread is stopped before the exit walk: the
  // process's private memory is gone when the kernel looks for its locks.
  void kill_and_reap_memory();
  // Calls the guard during a death that has begun, and returns when the whole process is gone.
  void reap();

private:
  [[noreturn]] void live(const subject& subject, const trial_memory& memory,
                         const victim_plan& plan);
  void be_stepped(const subject& subject, const trial_memory& memory, const victim_plan& plan);
  void await_begin(const victim_plan& plan);
  void await_rest_of_others(const victim_plan& plan) const;
  std::uint32_t step(std::uint32_t count, path* recorded);
  std::uint32_t jump(const path& known, std::uint32_t count);
  bool run_to(trace::address place);
  bool run_through_clock();
  // Throws what `found` means for a victim that should have trapped.
  void expect_trap(trace::stepper::result found);
  trace::stop_event await_stop();
  // `process`: a pidfd, with which the memory is reaped at the stepped thread's exit; or none.
  void reap(const base::descriptor& process);

  struct status_page;

  const guard_driver& guard_;
  channel channel_;
  status_page* page_;
  pid_t pid_ = 0;
  trace::stepper stepper_;
  bool asleep_ = false;
};

} // namespace deadbolt::crash
#endif
