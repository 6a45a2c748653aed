// SPDX-License-Identifier: MIT
// The protocol is models/region_mutex.pml; the names of its steps are there.
#include <region/mutex_wait.hpp>

#include <raw_syscall.hpp>
#include <region/attachment.hpp>
#include <region/owner.hpp>
#include <region/sleep.hpp>

namespace deadbolt::regions {
namespace {

// The acquisitions. `slept`: others may be asleep, so the word keeps its waiters bit.
// NOLINTNEXTLINE(readability-non-const-parameter): the builtin writes
bool take_free(std::uint64_t* word, std::uint64_t& seen, const attachment& self,
               bool slept) noexcept {
  const std::uint64_t mine = self.id | (seen & word_waiters) | (slept ? word_waiters : 0);
  // order: as in mutex::lock; a shared_mutex looks at its readers' holds after it.
  return __atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

// NOLINTNEXTLINE(readability-non-const-parameter): the builtin writes
bool take_over(std::uint64_t* word, std::uint64_t& seen, const attachment& self,
               bool slept) noexcept {
  const std::uint64_t mine =
      self.id | word_inconsistent | (seen & word_waiters) | (slept ? word_waiters : 0);
  // order: acquire, with the kernel's mark or the detacher's token, which the owner's
  // last writes came before; else as in take_free().
  return __atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

// Sleeps on the lock word and on its owner's life word. True when it ended because the
// time was over.
bool sleep_for(const std::uint64_t* word, std::uint64_t seen, const owner_view& owner,
               const detail::deadline* deadline) noexcept {
  const watched_word words[] = {{futex_of(word), static_cast<std::uint32_t>(seen)},
                                {futex_of(owner.life), owner.life_value}};
  const bool timed_out = sleep_on(words, 2, sleep_end(deadline), word);
  pass_on(owner);
  return timed_out;
}

} // namespace

lock_status lock_slow(std::uint64_t* word, const detail::deadline* deadline) noexcept {
  const attachment& self = require_attachment(word);
  bool slept = false;
  bool doubtful = false; // nobody woke us for the whole of a sleep
  int spins_left = spins_before_sleep();
  std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  for (;;) {
    if (is_free(seen)) {
      if (take_free(word, seen, self, slept)) return lock_status::acquired;
      continue;
    }
    if (is_not_recoverable(seen)) return lock_status::not_recoverable;
    if (id_of(seen) == self.id) return lock_status::deadlock;
    if (spins_left > 0) {
      --spins_left;
      arch::spin_pause();
      seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      continue;
    }
    owner_view owner = look_at_owner(*self.region, seen);
    if (!owner.dead && doubtful) {
      owner.dead = is_gone_unmarked(owner, seen);
    }
    if (owner.dead) {
      if (take_over(word, seen, self, slept)) return lock_status::owner_died;
      continue;
    }
    // Before the clock is asked: a waiter that gives up may have been given a wake, and
    // the waiters bit is how the next unlock knows that others sleep.
    if ((seen & word_waiters) == 0) {
      if (!__atomic_compare_exchange_n(word, &seen, seen | word_waiters, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_ACQUIRE)) {
        continue;
      }
      seen |= word_waiters;
    }
    if (is_over(deadline)) return lock_status::timed_out;
    doubtful = sleep_for(word, seen, owner, deadline);
    slept = true;
    seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  }
}

lock_status try_lock_slow(std::uint64_t* word) noexcept {
  const attachment& self = require_attachment(word);
  std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  for (;;) {
    if (is_free(seen)) {
      if (take_free(word, seen, self, false)) return lock_status::acquired;
    } else if (is_not_recoverable(seen)) {
      return lock_status::not_recoverable;
    } else if (id_of(seen) == self.id) {
      return lock_status::busy;
    } else {
      // Who only ever tries must learn of a silent death too: at the cost of a system call.
      const owner_view owner = look_at_owner(*self.region, seen);
      if (!owner.dead && !is_gone_unmarked(owner, seen)) return lock_status::busy;
      if (take_over(word, seen, self, false)) return lock_status::owner_died;
    }
  }
}

} // namespace deadbolt::regions
