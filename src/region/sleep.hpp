// SPDX-License-Identifier: MIT
// Bounded sleeps on several words at once.
#ifndef DEADBOLT_REGION_SLEEP_HPP
#define DEADBOLT_REGION_SLEEP_HPP

#include <base/futex_waitv.hpp>
#include <cstdint>
#include <deadbolt/detail/timed_lock.hpp>

namespace deadbolt::regions {

// A waiter looks again this often even if nobody wakes it: who was to pass a wake on
// may have died, and an owner's death may be told to sleepers on its liveness word alone.
inline constexpr std::int64_t longest_sleep = 100'000'000;

using base::watched_word;

// When a sleep that starts now ends: after longest_sleep, or at the deadline
// (nullptr: none) if that is earlier. CLOCK_MONOTONIC.
std::int64_t sleep_end(const detail::deadline* deadline) noexcept;

bool is_over(const detail::deadline* deadline) noexcept;

// Sleeps while all words have their values, until woken on one of them or until `until`
// (CLOCK_MONOTONIC). Where the kernel has or permits no futex_waitv, on the first word
// alone. `count` is at most base::most_watched_words. True when it ended because the
// time was over. `lock` is for the message if the kernel refuses.
bool sleep_on(const watched_word* words, unsigned count, std::int64_t until,
              const void* lock) noexcept;

} // namespace deadbolt::regions
#endif
