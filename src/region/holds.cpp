// SPDX-License-Identifier: MIT
// The protocol is models/region_shared_mutex.pml.
#include <region/holds.hpp>

#include <base/futex.hpp>
#include <limits.h>
#include <region/sleep.hpp>

namespace deadbolt::regions {

announcement announce(const attachment& self, std::uint64_t name, hold_entry*& entry) noexcept {
  member_slot& slot = *self.shared_slot;
  for (;;) {
    std::uint32_t bound = slot.holds_bound.load(std::memory_order_relaxed);
    if (bound > most_holds) bound = most_holds;
    entry = nullptr;
    for (std::uint32_t i = 0; i < bound; ++i) {
      const std::uint64_t seen = slot.holds[i].load(std::memory_order_relaxed);
      if ((seen & ~hold_awaited) == name) return announcement::held_already;
      if (seen == 0 && entry == nullptr) entry = &slot.holds[i];
    }
    if (entry == nullptr) {
      if (bound == most_holds) return announcement::too_many;
      // order: before the announcement itself.
      if (!slot.holds_bound.compare_exchange_strong(bound, bound + 1, std::memory_order_seq_cst)) {
        continue;
      }
      entry = &slot.holds[bound];
    }
    std::uint64_t none = 0;
    // order: the fence between the announcement and the look at the writer word.
    // death order: from here on the hold ends when the liveness word says so.
    if (entry->compare_exchange_strong(none, name, std::memory_order_seq_cst)) {
      return announcement::made;
    }
  }
}

void withdraw(hold_entry& entry) noexcept {
  // order: release, pairs with the writer that finds the hold gone.
  // death order: the one word; a wake reads and writes nothing of the lock.
  if ((entry.exchange(0, std::memory_order_release) & hold_awaited) != 0) {
    base::futex_wake(futex_of(entry), INT_MAX);
  }
}

void drop_all_holds(member_slot& slot) noexcept {
  std::uint32_t bound = slot.holds_bound.load(std::memory_order_relaxed);
  if (bound > most_holds) bound = most_holds;
  // A writer that read a liveness word before the last owner's death, and finds the same
  // value under the next owner, sleeps on the hold alone: hence with a wake.
  for (std::uint32_t i = 0; i < bound; ++i) {
    if (slot.holds[i].load(std::memory_order_relaxed) != 0) withdraw(slot.holds[i]);
  }
  slot.holds_bound.store(0, std::memory_order_relaxed);
}

} // namespace deadbolt::regions
