// SPDX-License-Identifier: MIT
// The process that is stopped at one instruction and killed there.
#ifndef DEADBOLT_CRASH_VICTIM_HPP
#define DEADBOLT_CRASH_VICTIM_HPP

#include "crash/guard_driver.hpp"
#include "crash/helper_process.hpp"
#include "crash/path.hpp"
#include "crash/subject.hpp"
#include "crash/trial_memory.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <sys/types.h>

namespace deadbolt::crash {

enum class stepped_operation : std::uint8_t {
  lock,   // begins with the lock not held by the victim
  unlock, // begins with the lock held by the victim
};

struct victim_plan {
  stepped_operation operation;
  // The stepped thread is the group leader; if not, the leader only waits.
  bool leader = true;
  // A second thread on strings.
  bool accomplice = false;
  // The signal handler calls execve of this descriptor; -1: it waits to be killed.
  int handler_executes = -1;
};

// Everything before the operation has happened when the constructor returns: the
// victim holds its locks and stands at the operation's first instruction.
class victim {
public:
  victim(const subject& subject, const guard_driver& guard, const trial_memory& memory,
         const victim_plan& plan);
  victim(const victim&) = delete;
  victim& operator=(const victim&) = delete;
  ~victim();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // Of the stepped thread.
  [[nodiscard]] pid_t tid() const noexcept { return tid_; }
  // The instruction that would come next.
  [[nodiscard]] std::uint64_t instruction_pointer() const noexcept { return ip_; }
  [[nodiscard]] const strings& accomplice() const noexcept { return strings_; }

  // Goes on for `count` instructions, or to the end of the operation, or until the
  // thread has gone to sleep in a lock operation. Returns how many there were.
  //
  // The vDSO's clock counts as one instruction.
  //
  // Steps, and records the path where one is to be recorded. Along a known path it
  // runs to a breakpoint near its goal instead: a step costs some 10 us, and there is
  // a victim for each instruction. Throws other_path if that path is not taken.
  std::uint32_t advance(std::uint32_t count, path* recorded, const path* known);
  // Whether the kernel knows that an unlock has begun: it may then finish it instead of
  // marking the lock as that of a dead owner.
  [[nodiscard]] bool unlock_is_in_kernels_hands() const;
  // Lets it run until it sleeps in a lock operation.
  void run_to_sleep();
  // After run_to_sleep(): waits until that sleep is over and the thread stands behind
  // the system call; returns the call's result. Nothing: it still sleeps.
  [[nodiscard]] std::optional<std::int64_t> await_wake(std::chrono::milliseconds patience);
  // Sends a signal, drives the guard at its delivery and stops inside the handler.
  void enter_handler();
  // From inside the handler: lets it call execve and stops in the new program.
  void execute();

  // SIGKILL, and reap().
  void kill();
  // Drives the guard through a death that has begun, and returns when the kernel is
  // done with the whole process.
  void reap();

private:
  [[noreturn]] void live(const subject& subject, const trial_memory& memory,
                         const victim_plan& plan);
  void be_stepped(const subject& subject, const trial_memory& memory, const victim_plan& plan);
  void await_begin();
  std::uint32_t step(std::uint32_t count, path* recorded);
  std::uint32_t jump(const path& known, std::uint32_t count);
  bool run_to(std::uint64_t place);
  bool run_through_clock();
  // Waits for a stop of the stepped thread; throws when it died instead.
  int await_stop();
  void read_registers();
  [[nodiscard]] bool at_sleepy_system_call() const;
  [[nodiscard]] bool has_stopped() const;
  bool await_step_or_sleep();

  struct status_page;

  const guard_driver& guard_;
  strings strings_;
  status_page* board_;
  pid_t pid_ = 0;
  pid_t tid_ = 0;
  std::uint64_t ip_ = 0;
  std::uint64_t sp_ = 0;
  std::int64_t result_ = 0;
  bool asleep_ = false;
};

} // namespace deadbolt::crash
#endif
