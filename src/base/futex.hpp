// SPDX-License-Identifier: MIT
// futex(2) and futex_waitv(2), shared between processes unless said otherwise. Results are
// -errno.
#ifndef DEADBOLT_BASE_FUTEX_HPP
#define DEADBOLT_BASE_FUTEX_HPP

#include <base/clock.hpp>
#include <cstdint>
#include <linux/futex.h>
#include <raw_syscall.hpp>
#include <sys/syscall.h>

namespace deadbolt::base {

// Mainline 7.2's numbers; older uapi headers do not have them.
inline constexpr int futex_robust_unlock_flag = 512;

// Sleeps while *word == expected, until woken or until `until` (absolute, on the
// named clock). 0 when woken, -EAGAIN when the word differs, -ETIMEDOUT, -EINTR.
inline long futex_wait_until(const std::uint32_t* word, std::uint32_t expected,
                             const absolute_time& until) noexcept {
  const timespec time = to_timespec(until.nanoseconds);
  const int operation = FUTEX_WAIT_BITSET | (until.realtime ? FUTEX_CLOCK_REALTIME : 0);
  return arch::raw_syscall(SYS_futex, word, operation, expected, &time, nullptr,
                           FUTEX_BITSET_MATCH_ANY);
}

// Wakes up to `count` waiters; the number woken.
inline long futex_wake(const std::uint32_t* word, int count) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_WAKE, count);
}

// Releases *word, wakes one waiter and clears *pending, all in the kernel.
// -ENOSYS where the kernel does not know the flag.
inline long futex_robust_unlock(std::uint32_t* word, void* pending) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_WAKE | futex_robust_unlock_flag, 1, nullptr,
                           pending);
}

// The same for a PI word.
inline long futex_robust_unlock_pi(std::uint32_t* word, void* pending) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_UNLOCK_PI | futex_robust_unlock_flag, 0, nullptr,
                           pending);
}

// ---- priority-inheritance words ----

// Takes *word, waiting until `until` (nullptr: for ever). 0 when it is held.
long futex_lock_pi(std::uint32_t* word, const absolute_time* until) noexcept;

// Takes *word if no live thread holds it.
inline long futex_trylock_pi(std::uint32_t* word) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_TRYLOCK_PI);
}

// Hands *word to its most urgent waiter, or frees it. -EAGAIN: call again.
inline long futex_unlock_pi(std::uint32_t* word) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_UNLOCK_PI);
}

// ---- several words at once ----

// From uapi; written out because older headers lack them. The same on every
// architecture.
inline constexpr long futex_waitv_number = 449;
inline constexpr std::uint32_t futex_32_flag = 2;

// A word and the value that a sleeper expects, in the kernel's layout (struct futex_waitv).
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
