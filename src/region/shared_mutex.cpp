// SPDX-License-Identifier: MIT
// The protocol is models/region_shared_mutex.pml. A thread that cannot have the lock at once
// waits for the writer word as for a mutex (waiting.cpp). A reader that comes to own the word
// announces its hold with the word held, and then releases the word.
#include <deadbolt/shared_mutex.hpp>

#include <base/clock.hpp>
#include <base/spin.hpp>
#include <region/membership.hpp>
#include <region/slots.hpp>
#include <region/waiting.hpp>

namespace deadbolt::regions {
namespace {

static_assert(shared_mutex::most_shared_holds == most_holds);

using detail::shared_mutex_words;

// How long an operation may take: one try, or as long as the limits say.
struct patience {
  bool waits;
  wait_limits limits;
};
constexpr patience waits_for_ever{true, {}};
constexpr patience tries_once{false, {}};

// ---- the caller's own holds ----

// How a lock is named in a slot: by its offset in the region.
std::uint64_t hold_name(const attachment& self, const void* lock) noexcept {
  return reinterpret_cast<std::uintptr_t>(lock) - self.begin;
}

bool holds_shared(const attachment& self, const void* lock) noexcept {
  std::uint64_t seen = 0;
  return find_hold(*self.shared_slot, hold_name(self, lock), seen) != nullptr;
}

// The next two are for a thread that has never held more than one lock at a time here: no other
// entry need be looked at. They return false for all other threads, and when they find
// anything else in the entry.
bool announce_only_hold(const attachment& self, std::uint64_t name, hold_entry*& entry) noexcept {
  member_slot& slot = *self.shared_slot;
  entry = &slot.holds[0];
  std::uint64_t none = 0;
  // order, death order: as in announce().
  return slot.holds_bound.load(std::memory_order_relaxed) == 1 &&
         entry->compare_exchange_strong(none, name, std::memory_order_seq_cst);
}
bool withdraw_only_hold(const attachment& self, std::uint64_t name) noexcept {
  member_slot& slot = *self.shared_slot;
  // order, death order: as in withdraw(). Nobody waits for a hold without hold_awaited.
  return slot.holds_bound.load(std::memory_order_relaxed) == 1 &&
         slot.holds[0].compare_exchange_strong(name, 0, std::memory_order_release,
                                               std::memory_order_relaxed);
}

std::uint32_t group_of(const attachment& self) noexcept {
  return std::uint32_t{1} << self.slot_number % slot_groups;
}

// ---- waiting for readers ----

// Removes a hold that no live member has any more: its owner withdrew it or died. With the writer
// word held: a new owner of the slot that announces this lock withdraws by itself.
void drop_hold(hold_entry& entry, std::uint64_t seen) noexcept {
  entry.compare_exchange_strong(seen, 0, std::memory_order_acq_rel);
}

// look: only reads. drop: also removes dead readers' holds, for which the writer word must be held.
enum class scan : std::uint8_t { look, drop };

// Under readers_first a writer gives the writer word back before it sleeps, so that new readers
// enter, until it has waited for long_wait.
struct giving_way {
  std::uint64_t* word;
  std::int64_t until = 0; // CLOCK_MONOTONIC; 0: it has not slept yet
  sleep_result last = sleep_result::woken;
};

// Returns `acquired` when the member holds the lock no longer; else busy, timed_out or interrupted.
// `way`: nullptr unless the caller gives way; then `busy` says that it has given the word back, has
// slept, and must start over.
lock_status wait_for_reader(open_region& region, member_slot& slot, std::uint64_t name, scan scan,
                            const patience& patience, giving_way* way) noexcept {
  const wait_limits& limits = patience.limits;
  sleep_result last = patience.waits ? sleep_result::woken : sleep_result::timed_out;
  sleep_length length{region};
  evidence_clock evidence;
  std::uint32_t spins = 0; // not remembered: the lock has no room for it
  base::spinner spinner{spins};
  for (;;) {
    // Generation, hold, liveness word, in that order: the liveness word is this reader's or a
    // later one's, and the generation lets is_gone() tell which.
    const std::uint64_t generation = slot.generation.load(std::memory_order_acquire);
    std::uint64_t seen = 0;
    hold_entry* entry = find_hold(slot, name, seen);
    if (entry == nullptr) return lock_status::acquired;
    const std::atomic<std::uint32_t>* life =
        liveness_word(&slot, slot.kind.load(std::memory_order_acquire));
    const std::uint32_t value = life == nullptr ? 0 : life->load(std::memory_order_acquire);
    bool dead = !is_alive(value);
    if (!dead && patience.waits && spinner.again()) continue;
    const bool told = is_told_to_end(limits, last);
    const bool leaves = patience.waits && (told || is_over(limits.until));
    if (!dead && evidence.is_due(last, leaves)) {
      dead = is_gone(region.file, slot, generation, *life, value);
    }
    if (dead) {
      if (scan == scan::look) return lock_status::acquired;
      drop_hold(*entry, seen);
      continue;
    }
    if (!patience.waits) return lock_status::busy;
    if (leaves) return told ? lock_status::interrupted : lock_status::timed_out;
    if ((seen & hold_awaited) == 0) {
      if (!entry->compare_exchange_strong(seen, seen | hold_awaited, std::memory_order_acq_rel)) {
        continue;
      }
      seen |= hold_awaited;
    }
    watched_word words[3] = {{futex_of(*entry), static_cast<std::uint32_t>(seen)},
                             {futex_of(life), value}};
    if (limits.stop != nullptr) words[2] = {limits.stop->native_handle(), 0};
    const unsigned count = limits.stop != nullptr ? 3 : 2;
    std::int64_t end = sleep_end(length.next(generation), limits.until);
    bool gives_way = false;
    if (way != nullptr) {
      const std::int64_t now = base::now();
      if (way->until == 0) way->until = now + long_wait;
      gives_way = now < way->until;
    }
    if (gives_way) {
      if (end > way->until) end = way->until;
      // The hold asks for the wake already: a reader that leaves from here on finds that, or this
      // thread's sleep finds another hold.
      release_word(way->word, __atomic_load_n(way->word, __ATOMIC_RELAXED));
    }
    last = sleep_on(words, count, end, entry);
    length.ended(last == sleep_result::timed_out);
    pass_on({false, &slot, life, value});
    if (gives_way) {
      way->last = last;
      return lock_status::busy;
    }
  }
}

// Waits for every member's hold but the caller's own.
lock_status wait_for_readers(const shared_mutex_words& words, const attachment& self, scan scan,
                             const patience& patience, giving_way* way) noexcept {
  open_region& region = *self.region;
  const std::uint64_t name = hold_name(self, &words);
  // order: after the writer word was taken; see find_hold().
  std::uint32_t groups = __atomic_load_n(&words.readers, __ATOMIC_SEQ_CST);
  const std::uint32_t used = region.slots_used();
  for (; groups != 0; groups &= groups - 1) {
    const auto first = static_cast<std::uint32_t>(__builtin_ctz(groups));
    for (std::uint32_t number = first; number < used; number += slot_groups) {
      if (number == self.slot_number) continue;
      member_slot& slot = *region.slot(number);
      std::uint64_t seen = 0;
      if (find_hold(slot, name, seen) == nullptr) continue;
      const lock_status status = wait_for_reader(region, slot, name, scan, patience, way);
      if (status != lock_status::acquired) return status;
    }
  }
  return lock_status::acquired;
}

// ---- threads that collide ----

[[gnu::tls_model("initial-exec")]] constinit thread_local base::pace this_threads_pace{};

// Call this when another thread owns the writer word.
void collide(const shared_mutex_words& words) noexcept {
  constexpr int short_section = 4; // pauses, of 10 to 50 ns each
  for (int i = 0; i < short_section; ++i) arch::spin_pause();
  this_threads_pace.wait(is_free(__atomic_load_n(&words.writer, __ATOMIC_RELAXED)));
}

// ---- the writer word ----

lock_status held_already(const patience& patience) noexcept {
  return patience.waits ? lock_status::deadlock : lock_status::busy;
}

// Takes the writer word. Returns owner_died when its last owner died while it held the lock, and
// not only the word: no reader has come in since. Otherwise that owner changed no data, and the
// word is consistent. `long_after`: when the caller becomes a long waiter.
lock_status take_writer_word(shared_mutex_words& words, const patience& patience,
                             std::int64_t long_after) noexcept {
  const lock_status taken = patience.waits
                                ? lock_contended(words.writer, patience.limits, long_after)
                                : try_lock_contended(words.writer);
  const bool outside = __atomic_load_n(&words.state, __ATOMIC_RELAXED) == state_outside;
  if (taken != lock_status::owner_died || !outside) return taken;
  __atomic_fetch_and(&words.writer, ~word_inconsistent, __ATOMIC_RELAXED);
  return lock_status::acquired;
}

// Under `fair` every thread that sleeps is a long waiter, so that each release reserves the lock
// for those that wait already.
std::int64_t long_wait_of(const shared_mutex_words& words) noexcept {
  return detail::policy_of(words) == shared_mutex_policy::fair ? 0 : long_wait;
}

// death order: the accesses to the data stay on their side of this store, also where the compiler
// sees both.
inline void store_state(shared_mutex_words& words, std::uint32_t state) noexcept {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(&words.state, state, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

unlock_status release_exclusive(shared_mutex_words& words, std::uint64_t seen) noexcept {
  const bool consistent = (seen & word_inconsistent) == 0;
  // death order: a death after this store is not reported to the next owner, whether or not
  // the word is released yet. If the data is inconsistent, `state` stays as it is.
  if (consistent) store_state(words, state_outside);
  release_word(&words.writer, seen);
  return unlock_status::released;
}

lock_status lock_exclusive_contended(shared_mutex_words& words, const patience& patience) noexcept;

// Call this with the writer word: acquires the lock, or has released the word when it returns.
[[gnu::noinline]] lock_status settle_exclusive(shared_mutex_words& words, const attachment& self,
                                               const patience& patience) noexcept {
  giving_way way{.word = &words.writer};
  giving_way* const gives_way =
      patience.waits && detail::policy_of(words) == shared_mutex_policy::readers_first ? &way
                                                                                       : nullptr;
  for (;;) {
    const lock_status status = wait_for_readers(words, self, scan::drop, patience, gives_way);
    if (status == lock_status::acquired) break;
    if (gives_way == nullptr || status != lock_status::busy) {
      release_word(&words.writer, __atomic_load_n(&words.writer, __ATOMIC_RELAXED));
      return status;
    }
    const bool told = is_told_to_end(patience.limits, way.last);
    if (told || is_over(patience.limits.until)) {
      // A thread that leaves takes the lock instead if it is free.
      const lock_status tried = lock_exclusive_contended(words, tries_once);
      if (tried != lock_status::busy) return tried;
      return told ? lock_status::interrupted : lock_status::timed_out;
    }
    const std::int64_t left = way.until - base::now();
    const lock_status taken = take_writer_word(words, patience, left > 0 ? left : 0);
    if (taken == lock_status::owner_died) store_state(words, state_writes);
    if (taken != lock_status::acquired) return taken;
  }
  // death order: before the data is touched.
  store_state(words, state_writes);
  return lock_status::acquired;
}

[[gnu::noinline]] lock_status lock_exclusive_contended(shared_mutex_words& words,
                                                       const patience& patience) noexcept {
  const attachment* member = find_or_attach(&words);
  if (member == nullptr) return lock_status::cannot_attach;
  const attachment& self = *member;
  if (holds_shared(self, &words)) return held_already(patience);
  if (!patience.waits) {
    // Looks before it takes the word, so that failing tries do not stop the readers.
    const lock_status status = wait_for_readers(words, self, scan::look, patience, nullptr);
    if (status != lock_status::acquired) return status;
  }
  if (patience.waits && !is_free(__atomic_load_n(&words.writer, __ATOMIC_RELAXED))) collide(words);
  const lock_status taken = take_writer_word(words, patience, long_wait_of(words));
  if (taken == lock_status::acquired) return settle_exclusive(words, self, patience);
  if (taken == lock_status::owner_died) store_state(words, state_writes);
  return taken;
}

enum class shared_entry : std::uint32_t { in, blocked, held_already, too_many };

// Becomes a reader if nobody owns the writer word. Under `fair`, a lock that is reserved is for the
// threads that wait already.
[[gnu::noinline]] shared_entry try_enter_shared(shared_mutex_words& words, const attachment& self,
                                                bool tries) noexcept {
  const std::uint64_t writer = __atomic_load_n(&words.writer, __ATOMIC_RELAXED);
  if (!is_free(writer) || (is_reserved(writer) && !tries && long_wait_of(words) == 0)) {
    return shared_entry::blocked;
  }
  const std::uint32_t group = group_of(self);
  // order: before the announcement. The bit is never cleared, so that later reads of the same
  // member write nothing to the lock.
  if ((__atomic_load_n(&words.readers, __ATOMIC_SEQ_CST) & group) == 0) {
    __atomic_fetch_or(&words.readers, group, __ATOMIC_SEQ_CST);
  }
  hold_entry* entry = nullptr;
  switch (announce(*self.shared_slot, hold_name(self, &words), entry)) {
  case announcement::held_already:
    return shared_entry::held_already;
  case announcement::too_many:
    return shared_entry::too_many;
  case announcement::made:
    break;
  }
  // order: acquire, pairs with the last writer's release; and after the announcement.
  if (is_free(__atomic_load_n(&words.writer, __ATOMIC_SEQ_CST))) return shared_entry::in;
  withdraw(*entry);
  return shared_entry::blocked;
}

// `blocked`: a writer has stopped the caller just now.
[[gnu::noinline]] lock_status
lock_shared_contended(shared_mutex_words& words, const patience& patience, bool blocked) noexcept {
  const attachment* member = find_or_attach(&words);
  if (member == nullptr) return lock_status::cannot_attach;
  const attachment& self = *member;
  if (blocked && patience.waits) collide(words);
  std::uint32_t spins = 0;
  base::spinner spinner{spins};
  do {
    const shared_entry entry = try_enter_shared(words, self, !patience.waits);
    if (entry == shared_entry::in) return lock_status::acquired;
    if (entry == shared_entry::held_already) return held_already(patience);
    if (entry == shared_entry::too_many) return lock_status::too_many_holds;
  } while (patience.waits && spinner.again());
  // try_enter_shared() returns `blocked` before it looks at the caller's own holds.
  if (holds_shared(self, &words)) return held_already(patience);
  const lock_status taken = take_writer_word(words, patience, long_wait_of(words));
  if (taken == lock_status::owner_died) store_state(words, state_reads_alone);
  if (taken != lock_status::acquired) return taken;
  __atomic_fetch_or(&words.readers, group_of(self), __ATOMIC_SEQ_CST);
  hold_entry* entry = nullptr;
  const announcement made = announce(*self.shared_slot, hold_name(self, &words), entry);
  release_word(&words.writer, __atomic_load_n(&words.writer, __ATOMIC_RELAXED));
  return made == announcement::made ? lock_status::acquired : lock_status::too_many_holds;
}

// ---- uncontended paths ----
//
// The functions above that wait are not inlined into these, which would then save registers: a
// locked instruction waits for these stores. Nor is a `patience` made for them.

lock_status lock_exclusive(shared_mutex_words& words, const patience& patience) noexcept {
  const attachment& self = *this_thread.current;
  if (self.covers(&words) && !holds_shared(self, &words)) [[likely]] {
    std::uint64_t expected = 0;
    // order: acquire, pairs with the last owner's unlock; release, so that a thread that reads
    // this id finds the liveness word that was published before it; and before the look at the
    // readers.
    // death order: the writer word and `state` are all: the next owner learns from them whether
    // data may be half-written.
    if (__atomic_compare_exchange_n(&words.writer, &expected, self.id, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED)) [[likely]] {
      if (__atomic_load_n(&words.readers, __ATOMIC_SEQ_CST) != 0) {
        return settle_exclusive(words, self, patience);
      }
      store_state(words, state_writes);
      return lock_status::acquired;
    }
  }
  return lock_exclusive_contended(words, patience);
}

// A writer came between the caller's announcement and its look at the writer word.
[[gnu::noinline]] lock_status withdraw_and_wait(shared_mutex_words& words, const patience& patience,
                                                hold_entry& entry) noexcept {
  withdraw(entry);
  return lock_shared_contended(words, patience, true);
}

[[gnu::noinline]] lock_status enter_or_wait(shared_mutex_words& words,
                                            const patience& patience) noexcept {
  const attachment& self = *this_thread.current;
  if (!self.covers(&words)) return lock_shared_contended(words, patience, false);
  const shared_entry status = try_enter_shared(words, self, !patience.waits);
  if (status == shared_entry::in) return lock_status::acquired;
  return lock_shared_contended(words, patience, status == shared_entry::blocked);
}

lock_status lock_shared(shared_mutex_words& words, const patience& patience) noexcept {
  const attachment& self = *this_thread.current;
  hold_entry* entry = nullptr;
  // try_enter_shared() for a thread that has read under this lock before and holds nothing. A
  // word that is reserved is left to that function.
  if (self.covers(&words) && __atomic_load_n(&words.writer, __ATOMIC_RELAXED) == 0 &&
      (__atomic_load_n(&words.readers, __ATOMIC_SEQ_CST) & group_of(self)) != 0 &&
      announce_only_hold(self, hold_name(self, &words), entry)) [[likely]] {
    // order: as there.
    if (is_free(__atomic_load_n(&words.writer, __ATOMIC_SEQ_CST))) [[likely]]
      return lock_status::acquired;
    return withdraw_and_wait(words, patience, *entry);
  }
  return enter_or_wait(words, patience);
}

const attachment* own_attachment(const void* lock) noexcept {
  const attachment* self = this_thread.current;
  return self->covers(lock) ? self : find_attachment(lock);
}

[[gnu::always_inline]] inline unlock_status release_if_own(shared_mutex_words& words,
                                                           const attachment& self) noexcept {
  const std::uint64_t seen = __atomic_load_n(&words.writer, __ATOMIC_RELAXED);
  return id_of(seen) == self.id ? release_exclusive(words, seen) : unlock_status::not_owner;
}

[[gnu::noinline]] unlock_status leave_exclusive(shared_mutex_words& words) noexcept {
  const attachment* self = find_attachment(&words);
  return self == nullptr ? unlock_status::not_owner : release_if_own(words, *self);
}

[[gnu::noinline]] unlock_status leave_shared(shared_mutex_words& words) noexcept {
  const attachment* self = own_attachment(&words);
  if (self == nullptr) return unlock_status::not_owner;
  std::uint64_t hold = 0;
  hold_entry* entry = find_hold(*self->shared_slot, hold_name(*self, &words), hold);
  if (entry != nullptr) {
    withdraw(*entry);
    return unlock_status::released;
  }
  // A reader that was told owner_died owns the writer word.
  const std::uint64_t seen = __atomic_load_n(&words.writer, __ATOMIC_RELAXED);
  if (id_of(seen) != self->id ||
      __atomic_load_n(&words.state, __ATOMIC_RELAXED) != state_reads_alone) {
    return unlock_status::not_owner;
  }
  return release_exclusive(words, seen);
}

} // namespace
} // namespace deadbolt::regions

namespace deadbolt {

using regions::attachment;

lock_status shared_mutex::acquire() noexcept {
  return regions::lock_exclusive(words_, regions::waits_for_ever);
}
lock_status shared_mutex::try_acquire() noexcept {
  // With readers: by the function that looks at them before it takes the word.
  if (__atomic_load_n(&words_.readers, __ATOMIC_RELAXED) != 0)
    return regions::lock_exclusive_contended(words_, regions::tries_once);
  return regions::lock_exclusive(words_, regions::tries_once);
}
lock_status shared_mutex::acquire_until(detail::deadline deadline) noexcept {
  return regions::lock_exclusive(words_, {true, {.until = &deadline}});
}
lock_status shared_mutex::acquire_within(const detail::wait_limits& limits) noexcept {
  return regions::lock_exclusive(words_, {true, limits});
}
lock_status shared_mutex::acquire_shared() noexcept {
  return regions::lock_shared(words_, regions::waits_for_ever);
}
lock_status shared_mutex::try_acquire_shared() noexcept {
  return regions::lock_shared(words_, regions::tries_once);
}
lock_status shared_mutex::acquire_shared_until(detail::deadline deadline) noexcept {
  return regions::lock_shared(words_, {true, {.until = &deadline}});
}
lock_status shared_mutex::acquire_shared_within(const detail::wait_limits& limits) noexcept {
  return regions::lock_shared(words_, {true, limits});
}

unlock_status shared_mutex::release() noexcept {
  const attachment& self = *regions::this_thread.current;
  if (!self.covers(this)) [[unlikely]]
    return regions::leave_exclusive(words_);
  return regions::release_if_own(words_, self);
}

unlock_status shared_mutex::release_shared() noexcept {
  const attachment& self = *regions::this_thread.current;
  if (self.covers(this) && regions::withdraw_only_hold(self, regions::hold_name(self, this)))
      [[likely]]
    return unlock_status::released;
  return regions::leave_shared(words_);
}

const char* DEADBOLT_ABI::to_string(shared_mutex_policy policy) noexcept {
  switch (policy) {
  case shared_mutex_policy::writers_first:
    return "writers_first";
  case shared_mutex_policy::readers_first:
    return "readers_first";
  case shared_mutex_policy::fair:
    return "fair";
  }
  return "unknown";
}

bool shared_mutex::mark_writer_consistent() noexcept {
  const attachment* self = regions::own_attachment(this);
  const std::uint64_t seen = __atomic_load_n(&words_.writer, __ATOMIC_RELAXED);
  if (self == nullptr || regions::id_of(seen) != self->id ||
      (seen & regions::word_inconsistent) == 0) {
    return false;
  }
  __atomic_fetch_and(&words_.writer, ~regions::word_inconsistent, __ATOMIC_RELAXED);
  return true;
}

} // namespace deadbolt
