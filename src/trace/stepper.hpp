// SPDX-License-Identifier: MIT
// Moves a stopped thread on: by one instruction, to a breakpoint, or into its sleep in a futex.
#ifndef DEADBOLT_TRACE_STEPPER_HPP
#define DEADBOLT_TRACE_STEPPER_HPP

#include "trace/thread.hpp"

#include <chrono>
#include <cstdint>
#include <exclusive_sequence.hpp>

namespace deadbolt::trace {

class stepper {
public:
  stepper() noexcept = default;
  explicit stepper(pid_t tid) noexcept : thread_{tid} {}

  [[nodiscard]] traced_thread thread() const noexcept { return thread_; }
  // The registers of the last stop that was read.
  [[nodiscard]] const registers& at() const noexcept { return registers_; }
  // Reads the registers of a thread that stopped by another way. 0 or an errno value.
  [[nodiscard]] int look() noexcept { return thread_.get_registers(registers_); }
  // The same for a thread that stopped at a breakpoint instruction of its own code, and puts it
  // behind that instruction.
  [[nodiscard]] int look_behind_breakpoint() noexcept;
  // The 8 bytes of code at the instruction pointer; 0 where they cannot be read.
  [[nodiscard]] std::uint64_t code() const noexcept;

  enum class result : std::uint8_t {
    trapped, // stopped there, registers read
    stopped, // another stop came first, or the thread ended: see last_stop()
    asleep,  // it sleeps in a futex call, with a step pending behind that call
    stuck,   // it neither stopped nor slept within the patience
    refused, // ptrace refused the request: the thread is not stopped, or the address is not
             // writable
  };
  // One instruction, or one sequence of a load and a store exclusive (see
  // arch/aarch64/exclusive_sequence.hpp). Never asleep nor stuck.
  [[nodiscard]] result step() noexcept;
  // One instruction, which may be a futex call in which the thread goes to sleep.
  [[nodiscard]] result step_or_sleep(std::chrono::milliseconds patience);
  // Runs on until the thread sleeps in a futex call. Needs PTRACE_O_TRACESYSGOOD.
  [[nodiscard]] result run_to_sleep(std::chrono::milliseconds patience);
  // Call this after `asleep`: waits for the end of the sleep. `trapped`: stopped after the system
  // call.
  [[nodiscard]] result await_wake(std::chrono::milliseconds patience);
  // Runs to the instruction at `place`, by a breakpoint, which is gone after `trapped`. The code
  // has to be a private mapping. Stops elsewhere show as stopped. After every result but `trapped`
  // the breakpoint can be in place, and the thread is fit only to be killed.
  [[nodiscard]] result run_to(address place, std::chrono::milliseconds patience);
  // At the first instruction of a function: where the function returns to. 0: cannot be read.
  [[nodiscard]] address return_address() const noexcept;

  [[nodiscard]] const stop_event& last_stop() const noexcept { return stop_; }

private:
  result await_trap() noexcept;
  result run_through(const exclusive_sequence& sequence) noexcept;
  result await_trap_or_sleep(std::chrono::milliseconds patience);

  traced_thread thread_;
  registers registers_;
  stop_event stop_;
};

} // namespace deadbolt::trace
#endif
