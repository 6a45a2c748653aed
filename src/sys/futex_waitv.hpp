// SPDX-License-Identifier: MIT
// futex_waitv(2): sleeping on two words at once (Linux 5.16). Results are -errno.
#ifndef DEADBOLT_SYS_FUTEX_WAITV_HPP
#define DEADBOLT_SYS_FUTEX_WAITV_HPP

#include <cstdint>
#include <raw_syscall.hpp>

namespace deadbolt::sys {

// From uapi; written out because older headers lack them. The same on every
// architecture.
inline constexpr long futex_waitv_number = 449;
inline constexpr std::uint32_t futex_32_flag = 2;

struct futex_waiter {
  std::uint64_t value;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};

struct kernel_time {
  std::int64_t seconds;
  std::int64_t nanoseconds;
};

// Sleeps while both words have these values, until woken on one of them or until
// `until` (CLOCK_MONOTONIC, nanoseconds). The index of a word that was woken;
// -EAGAIN when one differs, -ETIMEDOUT, -EINTR, -ENOSYS before Linux 5.16.
inline long futex_wait_two(const std::uint32_t* first, std::uint32_t first_value,
                           const std::uint32_t* second, std::uint32_t second_value,
                           std::int64_t until) noexcept {
  const futex_waiter waiters[2] = {
      {first_value, reinterpret_cast<std::uintptr_t>(first), futex_32_flag, 0},
      {second_value, reinterpret_cast<std::uintptr_t>(second), futex_32_flag, 0}};
  const kernel_time time{until / 1'000'000'000, until % 1'000'000'000};
  constexpr int clock_monotonic = 1;
  return arch::raw_syscall(futex_waitv_number, &waiters[0], 2, 0, &time, clock_monotonic);
}

} // namespace deadbolt::sys
#endif
