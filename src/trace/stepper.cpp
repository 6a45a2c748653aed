// SPDX-License-Identifier: MIT
#include "trace/stepper.hpp"

#include "trace/process.hpp"

#include <sys/syscall.h>
#include <type_traits>

namespace deadbolt::trace {
namespace {

bool may_sleep_in(long system_call) noexcept {
  return system_call == SYS_futex || system_call == SYS_futex_waitv;
}

} // namespace

int stepper::look_behind_breakpoint() noexcept {
  const int error = look();
  if (error != 0 || own_breakpoint_rest == 0) return error;
  registers_.set_ip(registers_.ip() + own_breakpoint_rest);
  return thread_.set_registers(registers_);
}

std::uint64_t stepper::code() const noexcept {
  std::uint64_t bytes = 0;
  return thread_.read(registers_.ip(), &bytes, sizeof bytes) == 0 ? bytes : 0;
}

address stepper::return_address() const noexcept {
  return registers_.return_address([this](address at) {
    std::uint64_t value = 0;
    return thread_.read(at, &value, sizeof value) == 0 ? value : 0;
  });
}

stepper::result stepper::await_trap() noexcept {
  if (thread_.wait(stop_) != 0) return result::refused;
  if (!stop_.is_trap()) return result::stopped;
  return look() == 0 ? result::trapped : result::refused;
}

stepper::result stepper::await_trap_or_sleep(std::chrono::milliseconds patience) {
  bool stopped = false;
  const auto settled = [&] {
    // A stopped thread looks as if it slept in its last system call: ask for a stop after that.
    const bool asleep = sleeps_in_futex(thread_.tid());
    stopped = thread_.has_stopped();
    return stopped || asleep;
  };
  if (!poll_until(settled, patience)) return result::stuck;
  return stopped ? await_trap() : result::asleep;
}

stepper::result stepper::step() noexcept {
  const exclusive_sequence sequence =
      find_exclusive_sequence(registers_.ip().value(), [this](std::uint64_t at) {
        std::uint32_t instruction = 0;
        return thread_.read(address(at), &instruction, sizeof instruction) == 0 ? instruction : 0;
      });
  if (sequence.exit_count != 0) return run_through(sequence);
  return thread_.step() == 0 ? await_trap() : result::refused;
}

// Breakpoints at all of its exits, which are gone afterwards. A sequence makes no system call.
stepper::result stepper::run_through(const exclusive_sequence& sequence) noexcept {
  std::uint64_t codes[std::extent_v<decltype(exclusive_sequence::exits)>] = {};
  unsigned placed = 0;
  bool refused = false;
  for (; placed < sequence.exit_count && !refused; placed += refused ? 0 : 1) {
    const address exit(sequence.exits[placed]);
    refused = thread_.read(exit, &codes[placed], sizeof codes[placed]) != 0 ||
              thread_.write(exit, with_breakpoint(codes[placed])) != 0;
  }
  result found = result::refused;
  if (!refused && thread_.resume() == 0) found = await_trap();
  // The last first: the 8 bytes that were read at one exit can hold the breakpoint at another.
  while (placed > 0) {
    --placed;
    const bool back = thread_.write(address(sequence.exits[placed]), codes[placed]) == 0;
    if (!back && found == result::trapped) found = result::refused;
  }
  if (found != result::trapped) return found;
  registers_.set_ip(address(registers_.ip().value() - breakpoint_size));
  return thread_.set_registers(registers_) == 0 ? result::trapped : result::refused;
}

stepper::result stepper::step_or_sleep(std::chrono::milliseconds patience) {
  const bool may_sleep = may_sleep_in(registers_.call_number()) && trace::is_system_call(code());
  if (!may_sleep) return step();
  return thread_.step() == 0 ? await_trap_or_sleep(patience) : result::refused;
}

stepper::result stepper::run_to_sleep(std::chrono::milliseconds patience) {
  for (;;) {
    // To the entry of the next system call, and from there by one step to behind it: that step
    // stays pending while the thread sleeps.
    if (thread_.resume_to_system_call() != 0 || thread_.wait(stop_) != 0) return result::refused;
    if (!stop_.is_system_call()) return result::stopped;
    if (look() != 0 || thread_.step() != 0) return result::refused;
    const result found =
        may_sleep_in(registers_.system_call()) ? await_trap_or_sleep(patience) : await_trap();
    if (found != result::trapped) return found;
  }
}

stepper::result stepper::await_wake(std::chrono::milliseconds patience) {
  if (!poll_until([this] { return thread_.has_stopped(); }, patience)) return result::asleep;
  return await_trap();
}

stepper::result stepper::run_to(address place, std::chrono::milliseconds patience) {
  std::uint64_t code = 0;
  if (thread_.read(place, &code, sizeof code) != 0 ||
      thread_.write(place, with_breakpoint(code)) != 0 || thread_.resume() != 0)
    return result::refused;
  const result found = await_trap_or_sleep(patience);
  if (found != result::trapped) return found;
  if (registers_.ip() != place + breakpoint_size) return result::stopped;
  registers_.set_ip(place);
  if (thread_.write(place, code) != 0 || thread_.set_registers(registers_) != 0)
    return result::refused;
  return result::trapped;
}

} // namespace deadbolt::trace
