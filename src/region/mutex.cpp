// SPDX-License-Identifier: MIT
// The uncontended paths; a held mutex is waited for in waiting.cpp. The protocols are
// models/region_mutex.pml and, for the bias, region_bias.pml.
#include <deadbolt/mutex.hpp>

#include <base/futex.hpp>
#include <region/bias.hpp>
#include <region/membership.hpp>
#include <region/waiting.hpp>

namespace deadbolt {

using detail::mutex_words;
using regions::attachment;

namespace {

inline bool take_by_exchange(mutex_words& words) noexcept {
  const attachment& self = *regions::this_thread.current;
  if (!self.covers(&words)) [[unlikely]]
    return false;
  // Plain unless a thread waits or one has waited within the last takes (plain_after): a waiter on
  // a plain owner must call membarrier, which costs more than the exchange that plain saves.
  const std::uint8_t plain_after = __atomic_load_n(&words.plain_after, __ATOMIC_RELAXED);
  const bool plain = __atomic_load_n(&words.waiting, __ATOMIC_RELAXED) == 0 && plain_after == 0;
  const std::uint64_t mine = plain ? self.plain_id : self.id;
  std::uint64_t expected = 0;
  // order: acquire, pairs with the last owner's unlock; release, so that a thread that reads
  // this id finds the liveness word that was published before it.
  // death order: this one word is the whole state; a thread that dies owns it or does not.
  if (!__atomic_compare_exchange_n(&words.word, &expected, mine, false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_RELAXED)) [[unlikely]] {
    return false;
  }
  if (plain_after != 0) [[unlikely]] {
    __atomic_store_n(&words.plain_after, static_cast<std::uint8_t>(plain_after - 1),
                     __ATOMIC_RELAXED);
  }
  regions::count_take(words.word, self);
  return true;
}

inline bool take(mutex_words& words) noexcept {
  return regions::take_biased(words.word, *regions::this_thread.current) || take_by_exchange(words);
}

// Functions of their own, so that the biased paths, in front of them, save no registers.
[[gnu::noinline]] lock_status acquire_by_exchange(mutex_words& words) noexcept {
  if (take_by_exchange(words)) [[likely]]
    return lock_status::acquired;
  return regions::lock_contended(words, {});
}

[[gnu::noinline]] unlock_status release_by_store(mutex_words& words) noexcept {
  std::uint64_t& word = words.word;
  std::uint32_t& waiting = words.waiting;
  const attachment* self = regions::this_thread.current;
  if (!self->covers(&word)) [[unlikely]] {
    self = regions::find_attachment(&word);
    if (self == nullptr) return unlock_status::not_owner;
  }
  const std::uint64_t seen = __atomic_load_n(&word, __ATOMIC_RELAXED);
  if (seen == self->plain_id && (seen & regions::word_plain) != 0) [[likely]] {
    // It is 1 already in a signal handler that interrupted another unlock of this thread.
    const std::uint32_t before = __atomic_load_n(&self->in_unlock, __ATOMIC_RELAXED);
    __atomic_store_n(&self->in_unlock, 1, __ATOMIC_RELAXED);
    const std::uint64_t next =
        regions::may_have_bias(word, *self) ? regions::word_after_release(words, *self) : 0;
    // order: release, pairs with the next owner's acquire; a thread of this process that
    // closes the region after it held the lock sees in_unlock. The load of `waiting` must come
    // after this store; the waiter that sets it enforces that by membarrier.
    // death order: after this store nothing that the kernel reads for a dying thread names the
    // lock, as in release_word().
    __atomic_store_n(&word, next, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    // The memory may be other data already: at worst that causes a wake that nobody needs.
    if (__atomic_load_n(&waiting, __ATOMIC_RELAXED) != 0) [[unlikely]] {
      base::futex_wake(regions::futex_of(&word), 1);
    }
    // order: release, after that load; pairs with the acquire in close().
    __atomic_store_n(&self->in_unlock, before, __ATOMIC_RELEASE);
    return unlock_status::released;
  }
  if (regions::id_of(seen) != self->id) [[unlikely]]
    return unlock_status::not_owner;
  if (regions::is_biased(seen)) [[unlikely]] {
    // Held by a bias if the thread used another region since, or if the process closed this one
    // and opened it again.
    if (!regions::holds_by_bias(*self->region, &word, seen)) return unlock_status::not_owner;
    regions::release_biased(word, *self);
    return unlock_status::released;
  }
  // The thread that clears `waiting` makes the wake that it asks for.
  std::uint32_t asked = __atomic_load_n(&waiting, __ATOMIC_RELAXED);
  if (asked != 0) asked = __atomic_exchange_n(&waiting, 0, __ATOMIC_RELAXED);
  regions::release_word(&word, seen, asked);
  return unlock_status::released;
}

} // namespace

lock_status mutex::acquire() noexcept {
  if (regions::take_biased(words_.word, *regions::this_thread.current))
    return lock_status::acquired;
  return acquire_by_exchange(words_);
}

lock_status mutex::try_acquire() noexcept {
  if (take(words_)) [[likely]]
    return lock_status::acquired;
  return regions::try_lock_contended(words_);
}

lock_status mutex::acquire_until(detail::deadline deadline) noexcept {
  if (take(words_)) [[likely]]
    return lock_status::acquired;
  return regions::lock_contended(words_, {.until = &deadline});
}

lock_status mutex::acquire_within(const detail::wait_limits& limits) noexcept {
  if (take(words_)) [[likely]]
    return lock_status::acquired;
  return regions::lock_contended(words_, limits);
}

unlock_status mutex::release() noexcept {
  const attachment& self = *regions::this_thread.current;
  if (regions::is_held_by_bias(words_.word, self)) {
    regions::release_biased(words_.word, self);
    return unlock_status::released;
  }
  return release_by_store(words_);
}

bool mutex::mark_consistent() noexcept {
  const attachment* self = regions::find_attachment(this);
  const std::uint64_t seen = __atomic_load_n(&words_.word, __ATOMIC_RELAXED);
  if (self == nullptr || regions::id_of(seen) != self->id || regions::is_biased(seen) ||
      (seen & regions::word_inconsistent) == 0) {
    return false;
  }
  __atomic_fetch_and(&words_.word, ~regions::word_inconsistent, __ATOMIC_RELAXED);
  return true;
}

} // namespace deadbolt
