// SPDX-License-Identifier: MIT
// What the measurement of a libc's unlock windows notes at an instruction.
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_RELEASE_SAMPLE_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_RELEASE_SAMPLE_HPP

#include <cstdint>
#include <exchange.hpp>
#include <registers.hpp>

namespace deadbolt::guard {

// What came before the instruction at which a sample was taken.
enum class came_from : std::uint8_t { elsewhere, exchange, unlock_pi };

// One instruction, before it is executed, with list_op_pending set.
struct release_sample {
  trace::registers at;
  std::uint64_t word = 0; // the address of the lock word that list_op_pending names
  std::uint32_t tid = 0;  // the thread's
  bool released = false;
  came_from after = came_from::elsewhere; // the release, when it was the step before
  exchange last;                          // the last exchange that the thread made
  // In a function that had returned when list_op_pending was cleared: other code may call it.
  bool in_callee = false;
};

} // namespace deadbolt::guard
#endif
