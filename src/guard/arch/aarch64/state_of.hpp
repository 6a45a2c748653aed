// SPDX-License-Identifier: MIT
// The registers that the repair rule looks at.
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_STATE_OF_HPP
#define DEADBOLT_GUARD_ARCH_AARCH64_STATE_OF_HPP

#include <registers.hpp>
#include <thread_state.h>

namespace deadbolt::guard {

[[nodiscard]] inline deadbolt_thread_state state_of(const trace::registers& regs) noexcept {
  return deadbolt_thread_state_of(regs.raw().regs, regs.raw().pc, regs.raw().pstate);
}

} // namespace deadbolt::guard
#endif
