// SPDX-License-Identifier: MIT
// An address in another process. It is never a pointer: a tracer cannot dereference it by accident,
// and an address that a traced thread supplies cannot be taken for one of the tracer's own.
#ifndef DEADBOLT_TRACE_ADDRESS_HPP
#define DEADBOLT_TRACE_ADDRESS_HPP

#include <compare>
#include <cstdint>

namespace deadbolt::trace {

class address {
public:
  constexpr address() noexcept = default;
  constexpr explicit address(std::uint64_t value) noexcept : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return value_ != 0; }
  // Wraps around, as the kernel's own arithmetic on user pointers does.
  friend constexpr address operator+(address from, std::uint64_t bytes) noexcept {
    return address(from.value_ + bytes);
  }
  friend constexpr auto operator<=>(address, address) noexcept = default;

private:
  std::uint64_t value_ = 0;
};

} // namespace deadbolt::trace
#endif
