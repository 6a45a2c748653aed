// SPDX-License-Identifier: MIT
// Which instructions `deadbolt windows` must recognise while it steps through a libc on x86-64.
#ifndef DEADBOLT_GUARD_ARCH_X86_64_EXCHANGE_HPP
#define DEADBOLT_GUARD_ARCH_X86_64_EXCHANGE_HPP

#include "trace/address.hpp"

#include <cstdint>
#include <registers.hpp>

namespace deadbolt::guard {

// The instruction that the next step executes, if it is a compare-exchange. An exchange that cannot
// fail is not of interest.
struct exchange {
  bool is_one = false;
  std::uint64_t behind = 0; // the instruction behind it; 0: wherever the step ends
};

// read(address) returns the 8 bytes there.
template <class Read>
exchange find_exchange(const trace::registers& at, Read&& read) {
  return {.is_one = trace::is_locked_compare_exchange(read(at.ip().value()))};
}

inline bool may_fail_at(const exchange& next, const trace::registers& /*at*/,
                        trace::address /*word*/) {
  return next.is_one;
}

// By the stack pointer.
class call_depth {
public:
  void after_step(std::uint64_t /*code*/, bool /*moved*/) noexcept {}
  void at_release(const trace::registers& at) noexcept { at_release_ = at.stack_pointer(); }
  // In a function that was called since the release.
  [[nodiscard]] bool is_called(const trace::registers& at) const noexcept {
    return at.stack_pointer().value() < at_release_.value();
  }
  // The release is no function of its own here.
  [[nodiscard]] int value() const noexcept { return 0; }

private:
  trace::address at_release_;
};

} // namespace deadbolt::guard
#endif
