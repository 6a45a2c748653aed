// SPDX-License-Identifier: MIT
// The shared holds that members announce in their slots.
#ifndef DEADBOLT_REGION_HOLDS_HPP
#define DEADBOLT_REGION_HOLDS_HPP

#include <atomic>
#include <cstdint>
#include <region/attachment.hpp>

namespace deadbolt::regions {

using hold_entry = std::atomic<std::uint64_t>;

// The half of a hold that the kernel compares: the low one (little-endian).
inline const std::uint32_t* futex_of(const hold_entry& entry) noexcept {
  return reinterpret_cast<const std::uint32_t*>(&entry);
}

// How a lock is named in a slot: by its offset in the region.
inline std::uint64_t hold_name(const attachment& self, const void* lock) noexcept {
  return reinterpret_cast<std::uintptr_t>(lock) - self.begin;
}

// Any member's hold of this name, nullptr if it has none. What stands in the slot
// may be a stranger's: the bound is loaded once and checked.
inline hold_entry* find_hold(member_slot& slot, std::uint64_t name, std::uint64_t& seen) noexcept {
  // order: sequentially consistent, here and below: a writer that took its word, and a
  // reader that announced itself, must not both miss the other.
  std::uint32_t bound = slot.holds_bound.load(std::memory_order_seq_cst);
  if (bound > most_holds) bound = most_holds;
  for (std::uint32_t i = 0; i < bound; ++i) {
    seen = slot.holds[i].load(std::memory_order_seq_cst);
    if ((seen & ~hold_awaited) == name) return &slot.holds[i];
  }
  return nullptr;
}

inline bool holds_shared(const attachment& self, const void* lock) noexcept {
  std::uint64_t seen = 0;
  return find_hold(*self.shared_slot, hold_name(self, lock), seen) != nullptr;
}

enum class announcement : std::uint32_t { made, held_already, too_many };

// Enters the name in the caller's own slot. A signal handler may do the same at any
// point of it.
announcement announce(const attachment& self, std::uint64_t name, hold_entry*& entry) noexcept;

// Ends a hold, or takes an announcement back, and wakes who waits for that. The lock is
// not touched.
void withdraw(hold_entry& entry) noexcept;

// The two for a thread that has held no more than one lock at a time here, where no other
// entry need be looked at; false for everybody else, and when they find anything else there.
inline bool announce_only_hold(const attachment& self, std::uint64_t name,
                               hold_entry*& entry) noexcept {
  member_slot& slot = *self.shared_slot;
  entry = &slot.holds[0];
  std::uint64_t none = 0;
  // order, death order: as in announce().
  return slot.holds_bound.load(std::memory_order_relaxed) == 1 &&
         entry->compare_exchange_strong(none, name, std::memory_order_seq_cst);
}
inline bool withdraw_only_hold(const attachment& self, std::uint64_t name) noexcept {
  member_slot& slot = *self.shared_slot;
  // order, death order: as in withdraw(). Nobody waits for a hold without hold_awaited.
  return slot.holds_bound.load(std::memory_order_relaxed) == 1 &&
         slot.holds[0].compare_exchange_strong(name, 0, std::memory_order_release,
                                               std::memory_order_relaxed);
}

// Empties a slot that is claimed: a dead owner's holds must be gone before the next
// owner is alive.
void drop_all_holds(member_slot& slot) noexcept;

} // namespace deadbolt::regions
#endif
