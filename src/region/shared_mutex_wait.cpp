// SPDX-License-Identifier: MIT
// The protocol is models/region_shared_mutex.pml. Whoever cannot have the lock at once
// queues for the writer word as for a mutex, a reader too: it announces itself with the
// word held, and gives the word to the next.
#include <region/shared_mutex_wait.hpp>

#include <base/futex.hpp>
#include <base/spin.hpp>
#include <limits.h>
#include <region/mutex_wait.hpp>
#include <region/owner.hpp>
#include <region/sleep.hpp>
#include <region/slot_claim.hpp>

namespace deadbolt::regions {
namespace {

// No member's hold any more: it ended by itself or with its thread. With the writer word
// held: a new owner of the slot that announces this lock withdraws by itself.
void drop_hold(hold_entry& entry, std::uint64_t seen) noexcept {
  entry.compare_exchange_strong(seen, 0, std::memory_order_acq_rel);
}

enum class scan : std::uint8_t { look, drop }; // without, with the writer word held

// Returns when the member holds the lock no longer: acquired, else busy or timed_out.
lock_status wait_for_reader(member_slot& slot, std::uint64_t name, scan scan,
                            const patience& patience) noexcept {
  bool doubtful = !patience.waits; // nobody woke us for the whole of a sleep
  std::uint32_t spins = 0;         // not remembered: the lock has no room for it
  base::spinner spinner{spins};
  for (;;) {
    // Generation, hold, life, in that order: life is this reader's or a later one's, and
    // the generation lets is_gone() see that.
    const std::uint64_t generation = slot.generation.load(std::memory_order_acquire);
    std::uint64_t seen = 0;
    hold_entry* entry = find_hold(slot, name, seen);
    if (entry == nullptr) return lock_status::acquired;
    const std::atomic<std::uint32_t>* life =
        liveness_word(&slot, slot.kind.load(std::memory_order_acquire));
    const std::uint32_t value = life == nullptr ? 0 : life->load(std::memory_order_acquire);
    if (!is_alive(value) || (doubtful && is_gone(slot, generation, *life, value))) {
      if (scan == scan::look) return lock_status::acquired;
      drop_hold(*entry, seen);
      continue;
    }
    if (!patience.waits) return lock_status::busy;
    if (spinner.again()) continue;
    if (is_over(patience.deadline)) return lock_status::timed_out;
    if ((seen & hold_awaited) == 0) {
      if (!entry->compare_exchange_strong(seen, seen | hold_awaited, std::memory_order_acq_rel)) {
        continue;
      }
      seen |= hold_awaited;
    }
    const watched_word words[] = {{futex_of(*entry), static_cast<std::uint32_t>(seen)},
                                  {futex_of(life), value}};
    doubtful = sleep_on(words, 2, sleep_end(patience.deadline), entry);
    pass_on({false, &slot, life, value});
  }
}

// Everybody's holds but the caller's own.
lock_status wait_for_readers(const shared_mutex_words& words, const attachment& self, scan scan,
                             const patience& patience) noexcept {
  open_region& region = *self.region;
  const std::uint64_t name = hold_name(self, &words);
  // order: after the writer word was taken; see find_hold().
  std::uint32_t groups = __atomic_load_n(&words.readers, __ATOMIC_SEQ_CST);
  std::uint32_t used = region.header()->slots_used.load(std::memory_order_seq_cst);
  if (used > region.members) used = region.members;
  for (; groups != 0; groups &= groups - 1) {
    const auto first = static_cast<std::uint32_t>(__builtin_ctz(groups));
    for (std::uint32_t number = first; number < used; number += slot_groups) {
      if (number == self.slot_number) continue;
      const lock_status status = wait_for_reader(*region.slot(number), name, scan, patience);
      if (status != lock_status::acquired) return status;
    }
  }
  return lock_status::acquired;
}

lock_status held_already(const patience& patience) noexcept {
  return patience.waits ? lock_status::deadlock : lock_status::busy;
}

lock_status take_writer_word(shared_mutex_words& words, const patience& patience) noexcept {
  std::uint32_t spins = 0;
  return patience.waits ? lock_slow(&words.writer, nullptr, spins, patience.deadline)
                        : try_lock_slow(&words.writer);
}

// With the word taken from a dead owner: whether that one was inside. Else nothing of the
// data was touched, and the word says so from here on.
bool died_inside(shared_mutex_words& words) noexcept {
  if (__atomic_load_n(&words.state, __ATOMIC_RELAXED) != state_outside) return true;
  __atomic_fetch_and(&words.writer, ~word_inconsistent, __ATOMIC_RELAXED);
  return false;
}

} // namespace

void release_writer_word(shared_mutex_words& words, bool whole) noexcept {
  // order: release, pairs with the next owner's acquire, and with a reader that finds
  // the word free.
  // death order: nothing of the thread's names the lock after this one write. The
  // memory may be anything from here on; a wake reads and writes nothing there.
  const std::uint64_t old = __atomic_exchange_n(
      &words.writer, whole ? std::uint64_t{0} : word_not_recoverable, __ATOMIC_RELEASE);
  if ((old & word_waiters) != 0) {
    base::futex_wake(futex_of(&words.writer), whole ? 1 : INT_MAX);
  }
}

lock_status settle_exclusive(shared_mutex_words& words, const attachment& self,
                             const patience& patience) noexcept {
  const lock_status status = wait_for_readers(words, self, scan::drop, patience);
  if (status != lock_status::acquired) {
    release_writer_word(words, true);
    return status;
  }
  // death order: before the data is touched.
  __atomic_store_n(&words.state, state_writes, __ATOMIC_RELAXED);
  return lock_status::acquired;
}

lock_status lock_exclusive_slow(shared_mutex_words& words, const patience& patience) noexcept {
  const attachment& self = require_attachment(&words);
  if (holds_shared(self, &words)) return held_already(patience);
  if (!patience.waits) {
    // A look first, so that tries in vain do not stop the readers.
    const lock_status status = wait_for_readers(words, self, scan::look, patience);
    if (status != lock_status::acquired) return status;
  }
  const lock_status taken = take_writer_word(words, patience);
  if (taken == lock_status::owner_died && died_inside(words)) {
    // No reader has come in since.
    __atomic_store_n(&words.state, state_writes, __ATOMIC_RELAXED);
    return lock_status::owner_died;
  }
  if (taken != lock_status::acquired && taken != lock_status::owner_died) return taken;
  return settle_exclusive(words, self, patience);
}

shared_entry try_enter_shared(shared_mutex_words& words, const attachment& self) noexcept {
  if (!is_free(__atomic_load_n(&words.writer, __ATOMIC_RELAXED))) return shared_entry::blocked;
  const std::uint32_t group = std::uint32_t{1} << self.slot_number % slot_groups;
  // order: before the announcement. Once set it stays: readers write to the lock no more.
  if ((__atomic_load_n(&words.readers, __ATOMIC_SEQ_CST) & group) == 0) {
    __atomic_fetch_or(&words.readers, group, __ATOMIC_SEQ_CST);
  }
  hold_entry* entry = nullptr;
  switch (announce(self, hold_name(self, &words), entry)) {
  case announcement::held_already:
    return shared_entry::held_already;
  case announcement::too_many:
    return shared_entry::too_many;
  case announcement::made:
    break;
  }
  // order: acquire with the last writer's release; and after the announcement.
  if (is_free(__atomic_load_n(&words.writer, __ATOMIC_SEQ_CST))) return shared_entry::in;
  withdraw(*entry);
  return shared_entry::blocked;
}

lock_status lock_shared_slow(shared_mutex_words& words, const patience& patience) noexcept {
  const attachment& self = require_attachment(&words);
  std::uint32_t spins = 0;
  base::spinner spinner{spins};
  do {
    const shared_entry entry = try_enter_shared(words, self);
    if (entry == shared_entry::in) return lock_status::acquired;
    if (entry == shared_entry::held_already) return held_already(patience);
    if (entry == shared_entry::too_many) return lock_status::too_many_holds;
  } while (patience.waits && spinner.again());
  // A word that is taken is seen before the caller's own holds are.
  if (holds_shared(self, &words)) return held_already(patience);
  const lock_status taken = take_writer_word(words, patience);
  if (taken == lock_status::owner_died && died_inside(words)) {
    __atomic_store_n(&words.state, state_reads_alone, __ATOMIC_RELAXED);
    return lock_status::owner_died;
  }
  if (taken != lock_status::acquired && taken != lock_status::owner_died) return taken;
  const std::uint32_t group = std::uint32_t{1} << self.slot_number % slot_groups;
  __atomic_fetch_or(&words.readers, group, __ATOMIC_SEQ_CST);
  hold_entry* entry = nullptr;
  const announcement made = announce(self, hold_name(self, &words), entry);
  release_writer_word(words, true);
  return made == announcement::made ? lock_status::acquired : lock_status::too_many_holds;
}

} // namespace deadbolt::regions
