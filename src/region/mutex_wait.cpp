// SPDX-License-Identifier: MIT
// The protocol is models/region_mutex.pml; the names of its steps are there.
#include <region/mutex_wait.hpp>

#include <base/membarrier.hpp>
#include <base/spin.hpp>
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

// Sleeps on the lock word and on its owner's liveness word, and `waiting`, if there is one,
// is set. True when it ended because the time was over.
bool sleep_for(const std::uint64_t* word, std::uint64_t seen, const std::uint32_t* waiting,
               const owner_view& owner, const detail::deadline* deadline) noexcept {
  const watched_word lock{futex_of(word), static_cast<std::uint32_t>(seen)};
  const watched_word life{futex_of(owner.life), owner.liveness_value};
  const watched_word plain[] = {lock, {waiting, 1}, life};
  const watched_word other[] = {lock, life};
  const bool timed_out = waiting != nullptr ? sleep_on(plain, 3, sleep_end(deadline), word)
                                            : sleep_on(other, 2, sleep_end(deadline), word);
  pass_on(owner);
  return timed_out;
}

} // namespace

lock_status lock_slow(std::uint64_t* word, std::uint32_t* waiting, std::uint32_t& spins,
                      const detail::deadline* deadline) noexcept {
  const attachment& self = require_attachment(word);
  bool slept = false;
  bool doubtful = false; // nobody woke us for the whole of a sleep
  base::spinner spinner{spins};
  std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  for (;;) {
    if (is_free(seen)) {
      if (take_free(word, seen, self, slept)) {
        spinner.remember();
        return lock_status::acquired;
      }
      continue;
    }
    if (is_not_recoverable(seen)) return lock_status::not_recoverable;
    if (id_of(seen) == self.id) return lock_status::deadlock;
    if (spinner.again()) {
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
    const bool plain = waiting != nullptr && (seen & word_plain) != 0;
    if (plain) {
      // Who has not slept has been given no wake, and need not pay for the barrier.
      if (!slept && is_over(deadline)) return lock_status::timed_out;
      __atomic_store_n(waiting, 1, __ATOMIC_SEQ_CST);
      // order: the owner releases, then looks at `waiting`. Where it has looked already, its
      // release is out when this returns; else it sees what was just set. Refused here, but
      // not there: the bound.
      base::barrier_everywhere();
      const std::uint64_t after = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      if (after != seen) {
        seen = after;
        continue;
      }
    } else if ((seen & word_waiters) == 0) {
      if (!__atomic_compare_exchange_n(word, &seen, seen | word_waiters, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_ACQUIRE)) {
        continue;
      }
      seen |= word_waiters;
    }
    if (is_over(deadline)) return lock_status::timed_out;
    doubtful = sleep_for(word, seen, plain ? waiting : nullptr, owner, deadline);
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
