// SPDX-License-Identifier: MIT
// The registers that the repair rule looks at.
#ifndef DEADBOLT_GUARD_ARCH_X86_64_STATE_OF_HPP
#define DEADBOLT_GUARD_ARCH_X86_64_STATE_OF_HPP

#include <registers.hpp>
#include <thread_state.h>

namespace deadbolt::guard {

[[nodiscard]] inline deadbolt_thread_state state_of(const trace::registers& regs) noexcept {
  return {.ip = regs.ip().value(),
          .rax = regs.result(),
          .flags = regs.flags(),
          .cs = regs.code_segment()};
}

} // namespace deadbolt::guard
#endif
