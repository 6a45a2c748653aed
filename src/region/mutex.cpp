// SPDX-License-Identifier: MIT
// The paths that need nobody else. The protocol is models/region_mutex.pml.
#include <deadbolt/mutex.hpp>

#include <base/futex.hpp>
#include <limits.h>
#include <region/attachment.hpp>
#include <region/mutex_wait.hpp>

namespace deadbolt {

using regions::attachment;

namespace {

inline bool take(std::uint64_t& word, const std::uint32_t& waiting) noexcept {
  const attachment& self = *regions::this_thread.current;
  if (!self.covers(&word)) [[unlikely]]
    return false;
  // Plain while nobody waits: a waiter makes it dear, an exchange is cheaper then.
  const std::uint64_t mine =
      __atomic_load_n(&waiting, __ATOMIC_RELAXED) == 0 ? self.plain_id : self.id;
  std::uint64_t expected = 0;
  // order: acquire, pairs with the last owner's unlock; release, so that who reads
  // this id finds the liveness word that was published before.
  // death order: the one word holds all: dead, the thread owns it or does not.
  return __atomic_compare_exchange_n(&word, &expected, mine, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED);
}

} // namespace

lock_status mutex::acquire() noexcept {
  if (take(word_, waiting_)) [[likely]]
    return lock_status::acquired;
  return regions::lock_slow(&word_, &waiting_, spins_, nullptr);
}

lock_status mutex::try_acquire() noexcept {
  if (take(word_, waiting_)) [[likely]]
    return lock_status::acquired;
  return regions::try_lock_slow(&word_);
}

lock_status mutex::acquire_until(detail::deadline deadline) noexcept {
  if (take(word_, waiting_)) [[likely]]
    return lock_status::acquired;
  return regions::lock_slow(&word_, &waiting_, spins_, &deadline);
}

unlock_status mutex::release() noexcept {
  const attachment* self = regions::this_thread.current;
  if (!self->covers(this)) [[unlikely]] {
    self = regions::find_attachment(this);
    if (self == nullptr) return unlock_status::not_owner;
  }
  const std::uint64_t seen = __atomic_load_n(&word_, __ATOMIC_RELAXED);
  if (seen == self->plain_id && (seen & regions::word_plain) != 0) [[likely]] {
    // 1 already in a signal handler that interrupted another unlock here.
    const std::uint32_t before = __atomic_load_n(&self->in_unlock, __ATOMIC_RELAXED);
    __atomic_store_n(&self->in_unlock, 1, __ATOMIC_RELAXED);
    // order: release, pairs with the next owner's acquire; a thread of this process that
    // closes the region after it had the lock sees in_unlock. The look at `waiting` comes
    // after it in this order; who sets that makes the processor keep to it (membarrier).
    // death order: as below.
    __atomic_store_n(&word_, std::uint64_t{0}, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    // Maybe somebody else's data already: at worst a wake that nobody needs.
    if (__atomic_load_n(&waiting_, __ATOMIC_RELAXED) != 0) [[unlikely]] {
      base::futex_wake(regions::futex_of(&word_), 1);
    }
    // order: release, after that look; pairs with the acquire in close().
    __atomic_store_n(&self->in_unlock, before, __ATOMIC_RELEASE);
    return unlock_status::released;
  }
  if (regions::id_of(seen) != self->id) [[unlikely]]
    return unlock_status::not_owner;
  // Whoever clears it wakes for it.
  const bool waited_for = __atomic_load_n(&waiting_, __ATOMIC_RELAXED) != 0;
  if (waited_for) __atomic_store_n(&waiting_, 0, __ATOMIC_RELAXED);
  // Only the owner changes the inconsistent bit.
  const bool whole = (seen & regions::word_inconsistent) == 0;
  // order: release, pairs with the next owner's acquire.
  // death order: nothing of the thread's names the lock after this one write. The
  // memory may be anything from here on; a wake reads and writes nothing there.
  const std::uint64_t old = __atomic_exchange_n(
      &word_, whole ? std::uint64_t{0} : regions::word_not_recoverable, __ATOMIC_RELEASE);
  if ((old & regions::word_waiters) != 0 || waited_for) {
    base::futex_wake(regions::futex_of(&word_), whole ? 1 : INT_MAX);
  }
  return unlock_status::released;
}

bool mutex::mark_consistent() noexcept {
  const attachment* self = regions::find_attachment(this);
  const std::uint64_t seen = __atomic_load_n(&word_, __ATOMIC_RELAXED);
  if (self == nullptr || regions::id_of(seen) != self->id ||
      (seen & regions::word_inconsistent) == 0) {
    return false;
  }
  __atomic_fetch_and(&word_, ~regions::word_inconsistent, __ATOMIC_RELAXED);
  return true;
}

} // namespace deadbolt
