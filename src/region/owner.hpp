// SPDX-License-Identifier: MIT
// Who a word in shared memory names, and whether that member is alive.
#ifndef DEADBOLT_REGION_OWNER_HPP
#define DEADBOLT_REGION_OWNER_HPP

#include <cstdint>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// The member that an owner word names, as the table has it.
struct owner_view {
  bool dead;
  member_slot* slot;                      // nullptr when the word names none
  const std::atomic<std::uint32_t>* life; // the same
  std::uint32_t liveness_value;
};

// `word` was loaded before, with acquire: word, generation, life, in that order. The
// generation moves only when its owner is gone, so a difference is proof of that; and a
// liveness word that is not alive is this owner's or, read late, that of a later one.
owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept;

// The second evidence of death, at the cost of a system call: for an owner that the
// kernel has not marked and whose waiter was not woken for the whole of a sleep.
bool is_gone_unmarked(const owner_view& owner, std::uint64_t word) noexcept;

// After any sleep on the owner's liveness word: the kernel wakes one sleeper, and all who sleep
// on this liveness word must look for the next owner's.
void pass_on(const owner_view& owner) noexcept;

// A liveness word as a futex.
inline const std::uint32_t* futex_of(const std::atomic<std::uint32_t>* life) noexcept {
  return reinterpret_cast<const std::uint32_t*>(life);
}

} // namespace deadbolt::regions
#endif
