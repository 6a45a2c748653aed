// SPDX-License-Identifier: MIT
// futex(2) for priority-inheritance words. Results are -errno.
#ifndef DEADBOLT_BASE_FUTEX_PI_HPP
#define DEADBOLT_BASE_FUTEX_PI_HPP

#include <base/clock.hpp>
#include <cstdint>
#include <linux/futex.h>
#include <raw_syscall.hpp>
#include <sys/syscall.h>

namespace deadbolt::base {

// Takes *word, waiting until `until` (nullptr: for ever). 0 when it is held.
long futex_lock_pi(std::uint32_t* word, const absolute_time* until) noexcept;

// Takes *word if nobody alive holds it.
inline long futex_trylock_pi(std::uint32_t* word) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_TRYLOCK_PI);
}

// Hands *word to its most urgent waiter, or frees it. -EAGAIN: call again.
inline long futex_unlock_pi(std::uint32_t* word) noexcept {
  return arch::raw_syscall(SYS_futex, word, FUTEX_UNLOCK_PI);
}

} // namespace deadbolt::base
#endif
