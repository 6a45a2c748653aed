// SPDX-License-Identifier: MIT
#include <region/bias.hpp>

#include <base/membarrier.hpp>
#include <region/waiting.hpp>

namespace deadbolt::regions {
namespace {

std::uint64_t offset_of(const open_region& region, const std::uint64_t* word) noexcept {
  return reinterpret_cast<std::uintptr_t>(word) -
         reinterpret_cast<std::uintptr_t>(region.base.load(std::memory_order_relaxed));
}

} // namespace

// ---- the thread that the mutex is biased to ----

void lose_bias(own_bias& own, bias_announcement& announcement) noexcept {
  own.mutex = nullptr;
  own.taken = 0;
  // order: release, as in release_biased().
  announcement.lock.exchange(0, std::memory_order_seq_cst);
  // Whatever `awaited` says: a revoker that the last release woke may have fallen asleep again by
  // this announcement.
  announcement.awaited.store(0, std::memory_order_relaxed);
  base::futex_wake(reinterpret_cast<const std::uint32_t*>(&announcement.lock), INT_MAX);
}

std::uint64_t word_after_release(const detail::mutex_words& mutex,
                                 const attachment& self) noexcept {
  const std::uint64_t& word = mutex.word;
  own_bias& own = self.bias_of(&word);
  const std::uint32_t revoked = __atomic_load_n(&mutex.revocations, __ATOMIC_RELAXED);
  const std::uint64_t offset = reinterpret_cast<std::uintptr_t>(&word) - self.begin;
  if (revoked >= most_revocations || offset >= most_biased_offset) {
    own.taken = 0;
    return 0;
  }
  if (own.taken < takes_before_bias << revoked) return 0;
  // The entry announces another mutex, whose bias is in use.
  if (own_announcement(word, self).lock.load(std::memory_order_relaxed) != 0) return 0;
  // The bias of another mutex that has this entry ends here. Its word stays as it is, and this
  // thread's next lock() of it takes the word back. A signal handler of this thread may lock in
  // between: `mutex` is none until all is set.
  own.mutex = nullptr;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  const std::uint64_t biased = biased_word(self.id, revoked);
  own.word = biased;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  // If a handler has stored another mutex's word meanwhile, the next lock() finds that the word is
  // another, and takes this mutex by an atomic operation.
  own.mutex = &word;
  return biased;
}

// ---- other threads ----

bias_announcement& announcement_of(const open_region& region, member_slot& slot,
                                   const std::uint64_t* word) noexcept {
  return slot.biases[bias_entry(offset_of(region, word))];
}

bool holds_by_bias(const open_region& region, const std::uint64_t* word,
                   std::uint64_t seen) noexcept {
  const std::uint32_t number = slot_of(seen);
  if (number >= region.slots_used()) return false;
  member_slot& slot = *region.slot(number);
  if (slot.generation.load(std::memory_order_acquire) != generation_of(seen)) return false;
  // order: acquire, pairs with the release in release_biased(); before the generation is looked at
  // again: the announcement may be that of a next member of the slot.
  const std::uint32_t name =
      announcement_of(region, slot, word).lock.load(std::memory_order_acquire);
  return name == announced_name(offset_of(region, word)) &&
         slot.generation.load(std::memory_order_acquire) == generation_of(seen);
}

bias_state revoke_bias(const open_region& region, std::uint64_t* word, std::uint64_t& seen,
                       std::uint8_t& revocations, member_slot& slot, bool may_sleep) noexcept {
  if ((seen & word_waiters) == 0) {
    // Counted before: a thread that dies in between has counted one too many at worst, and no
    // bias is given twice with the same tag.
    auto expected = static_cast<std::uint8_t>(bias_tag(seen));
    __atomic_compare_exchange_n(&revocations, &expected, static_cast<std::uint8_t>(expected + 1),
                                false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n(word, &seen, seen | word_waiters, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_ACQUIRE)) {
      return bias_state::word_changed;
    }
    seen |= word_waiters;
  }
  announcement_of(region, slot, word).awaited.store(1, std::memory_order_seq_cst);
  // order: the member announces, then looks at the word; and it retracts, then looks at `awaited`.
  // Where it has looked already, its announcement is visible when this call returns.
  if (base::barrier_everywhere() != 0) {
    if (!may_sleep) return bias_state::held;
    // Without membarrier: a store leaves its CPU's store buffer long before this sleep is over.
    // A signal ends a sleep, and a sandbox may refuse to sleep; the time must pass all the same.
    const std::int64_t end = base::now() + first_sleep;
    const timespec time = base::to_timespec(end);
    do {
      arch::raw_syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
    } while (base::now() < end);
  }
  return holds_by_bias(region, word, seen) ? bias_state::held : bias_state::free;
}

bool is_slot_needed(open_region& region, std::uint32_t number, const member_slot& slot) noexcept {
  for (std::uint32_t i = 0; i < bias_entries; ++i) {
    const std::uint32_t name = slot.biases[i].lock.load(std::memory_order_acquire);
    if (name == 0) continue;
    const std::uint64_t offset = (std::uint64_t{name} - 1) * 8;
    // Anything else is corrupted or hostile memory.
    const bool is_mutex_place =
        offset == offsetof(region_header, directory_lock) ||
        (offset >= region.data_offset &&
         offset + sizeof(std::uint64_t) <= region.data_offset + region.data_bytes());
    if (bias_entry(offset) != i || !is_mutex_place) continue;
    const auto* word = reinterpret_cast<const std::uint64_t*>(
        region.base.load(std::memory_order_relaxed) + offset);
    const std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (is_biased(seen) && slot_of(seen) == number &&
        generation_of(seen) == slot.generation.load(std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

bool announces_a_mutex(const member_slot& slot) noexcept {
  for (const bias_announcement& announcement : slot.biases) {
    if (announcement.lock.load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

void forget_announcements(member_slot& slot) noexcept {
  for (bias_announcement& announcement : slot.biases) {
    announcement.lock.store(0, std::memory_order_relaxed);
    announcement.awaited.store(0, std::memory_order_relaxed);
  }
}

} // namespace deadbolt::regions
