// SPDX-License-Identifier: MIT
// futex_waitv(2): sleeping on several words at once (Linux 5.16). Results are -errno.
#ifndef DEADBOLT_BASE_FUTEX_WAITV_HPP
#define DEADBOLT_BASE_FUTEX_WAITV_HPP

#include <cstdint>
#include <raw_syscall.hpp>

namespace deadbolt::base {

// From uapi; written out because older headers lack them. The same on every
// architecture.
inline constexpr long futex_waitv_number = 449;
inline constexpr std::uint32_t futex_32_flag = 2;

// A word, and what a sleeper expects it to be: as the kernel reads it.
struct watched_word {
  constexpr watched_word() noexcept = default;
  watched_word(const std::uint32_t* word, std::uint32_t expected) noexcept
      : value{expected}, address{reinterpret_cast<std::uintptr_t>(word)} {}

  std::uint64_t value = 0;
  std::uint64_t address = 0;
  std::uint32_t flags = futex_32_flag;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(watched_word) == 24);
inline constexpr unsigned most_watched_words = 128; // the kernel's own limit

struct kernel_time {
  std::int64_t seconds;
  std::int64_t nanoseconds;
};

// Sleeps while all words have these values, until woken on one of them or until
// `until` (CLOCK_MONOTONIC, nanoseconds). The index of a word that was woken;
// -EAGAIN when one differs, -ETIMEDOUT, -EINTR, -ENOSYS before Linux 5.16.
inline long futex_wait_any(const watched_word* words, unsigned count, std::int64_t until) noexcept {
  const kernel_time time{until / 1'000'000'000, until % 1'000'000'000};
  constexpr int clock_monotonic = 1;
  return arch::raw_syscall(futex_waitv_number, words, count, 0, &time, clock_monotonic);
}

} // namespace deadbolt::base
#endif
