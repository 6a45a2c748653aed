// SPDX-License-Identifier: MIT
// Waiting for a lock word: bounded sleeps on several words at once, and the contended lock of
// every word that names one owner (a mutex's, and a shared_mutex's writer word).
#ifndef DEADBOLT_REGION_WAITING_HPP
#define DEADBOLT_REGION_WAITING_HPP

#include <base/futex.hpp>
#include <cstdint>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>

namespace deadbolt::regions {

// Every waiter looks again this often even if nobody wakes it: the thread that was to pass a
// wake on may have died, and a death may not have been marked by the kernel.
inline constexpr std::int64_t longest_sleep = 100'000'000;

using base::watched_word;

// The half of a lock word that the kernel compares: the low one (little-endian).
inline const std::uint32_t* futex_of(const std::uint64_t* word) noexcept {
  return reinterpret_cast<const std::uint32_t*>(word);
}

// When a sleep that starts now ends: after longest_sleep, or at the deadline (nullptr: none)
// if that is earlier. CLOCK_MONOTONIC.
std::int64_t sleep_end(const detail::deadline* deadline) noexcept;

bool is_over(const detail::deadline* deadline) noexcept;

// Sleeps while all words have their values, until woken on one of them or until `until`
// (CLOCK_MONOTONIC). Where the kernel lacks or refuses futex_waitv, on the first word alone.
// `count` is at most base::most_watched_words. True when it ended because the time was over.
// `lock` is for the message if memory that holds a word is not mapped.
bool sleep_on(const watched_word* words, unsigned count, std::int64_t until,
              const void* lock) noexcept;

// Instead of a sleep on a futex, where the kernel refuses that.
void sleep_a_moment() noexcept;

// Acquires, by waiting until the deadline if there is one (nullptr: no limit). Makes the
// calling thread a member first if it is none. `waiting` is a mutex's; nullptr where the word
// is never plain. `spins`: see base::spinner.
lock_status lock_contended(std::uint64_t* word, std::uint32_t* waiting, std::uint32_t& spins,
                           const detail::deadline* deadline) noexcept;
lock_status try_lock_contended(std::uint64_t* word) noexcept;

} // namespace deadbolt::regions
#endif
