// SPDX-License-Identifier: MIT
// Waiting for readers, and for those who have or want the writer word.
#ifndef DEADBOLT_REGION_SHARED_MUTEX_WAIT_HPP
#define DEADBOLT_REGION_SHARED_MUTEX_WAIT_HPP

#include <deadbolt/shared_mutex.hpp>
#include <region/holds.hpp>

namespace deadbolt::regions {

using detail::shared_mutex_words;

// How long an operation may take: a try, until a time, or as long as it takes.
struct patience {
  bool waits;
  const detail::deadline* deadline; // nullptr: none
};

// With the writer word taken by a compare-exchange of 0: the lock is had, or the word
// is given back.
lock_status settle_exclusive(shared_mutex_words& words, const attachment& self,
                             const patience& patience) noexcept;

// The calling thread is made a member first if it is none.
lock_status lock_exclusive_slow(shared_mutex_words& words, const patience& patience) noexcept;
lock_status lock_shared_slow(shared_mutex_words& words, const patience& patience) noexcept;

enum class shared_entry : std::uint32_t { in, blocked, held_already, too_many };

// Becomes a reader if nobody has the writer word.
shared_entry try_enter_shared(shared_mutex_words& words, const attachment& self) noexcept;

// Gives the writer word back. Nothing of the lock is touched after.
void release_writer_word(shared_mutex_words& words, bool whole) noexcept;

} // namespace deadbolt::regions
#endif
