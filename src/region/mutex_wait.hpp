// SPDX-License-Identifier: MIT
// Waiting for a lock word, and taking it over from the dead.
#ifndef DEADBOLT_REGION_MUTEX_WAIT_HPP
#define DEADBOLT_REGION_MUTEX_WAIT_HPP

#include <cstdint>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>

namespace deadbolt::regions {

// The half of a lock word that the kernel compares: the low one (little-endian).
inline const std::uint32_t* futex_of(const std::uint64_t* word) noexcept {
  return reinterpret_cast<const std::uint32_t*>(word);
}

// Acquires, by waiting until the deadline if there is one (nullptr: for ever). The
// calling thread is made a member first if it is none. `waiting` is a mutex's; nullptr
// where the word is never plain. `spins`: see base::spinner.
lock_status lock_slow(std::uint64_t* word, std::uint32_t* waiting, std::uint32_t& spins,
                      const detail::deadline* deadline) noexcept;
lock_status try_lock_slow(std::uint64_t* word) noexcept;

} // namespace deadbolt::regions
#endif
