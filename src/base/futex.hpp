// SPDX-License-Identifier: MIT
// futex(2), shared between processes unless said otherwise. Results are -errno.
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
// -ENOSYS where it does not know the flag.
inline long futex_robust_unlock(std::uint32_t* word, void* pending) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_WAKE | futex_robust_unlock_flag, 1, nullptr,
                           pending);
}

// The same for a PI word.
inline long futex_robust_unlock_pi(std::uint32_t* word, void* pending) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_UNLOCK_PI | futex_robust_unlock_flag, 0, nullptr,
                           pending);
}

} // namespace deadbolt::base
#endif
