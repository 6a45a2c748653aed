// SPDX-License-Identifier: MIT
// An address in a tracee. Never a pointer: nothing here can be dereferenced by
// accident, and nothing a tracee hands us is one of our own addresses.
#ifndef DEADBOLT_GUARD_PTRACE_TRACEE_ADDRESS_HPP
#define DEADBOLT_GUARD_PTRACE_TRACEE_ADDRESS_HPP

#include <compare>
#include <cstdint>

namespace deadbolt::guard {

class tracee_address {
public:
  constexpr tracee_address() noexcept = default;
  constexpr explicit tracee_address(std::uint64_t value) noexcept : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return value_ != 0; }
  // Wraps around, as the kernel's own arithmetic on user pointers does.
  friend constexpr tracee_address operator+(tracee_address address, std::uint64_t bytes) noexcept {
    return tracee_address(address.value_ + bytes);
  }
  friend constexpr auto operator<=>(tracee_address, tracee_address) noexcept = default;

private:
  std::uint64_t value_ = 0;
};

} // namespace deadbolt::guard
#endif
