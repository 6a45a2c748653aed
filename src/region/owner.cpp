// SPDX-License-Identifier: MIT
#include <region/owner.hpp>

#include <base/futex.hpp>
#include <limits.h>
#include <region/slot_claim.hpp>

namespace deadbolt::regions {

owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept {
  const std::uint32_t number = slot_of(word);
  if (number >= region.members) return {true, nullptr, nullptr, 0}; // no member writes that
  member_slot* slot = region.slot(number);
  const std::uint64_t generation = generation_of(word);
  if (slot->generation.load(std::memory_order_acquire) != generation) {
    return {true, nullptr, nullptr, 0};
  }
  const std::atomic<std::uint32_t>* life =
      liveness_word(slot, slot->kind.load(std::memory_order_acquire));
  if (life == nullptr) return {true, nullptr, nullptr, 0};
  const std::uint32_t value = life->load(std::memory_order_acquire);
  const bool dead =
      !is_alive(value) || slot->generation.load(std::memory_order_acquire) != generation;
  return {dead, slot, life, value};
}

bool is_gone_unmarked(const owner_view& owner, std::uint64_t word) noexcept {
  return is_gone(*owner.slot, generation_of(word), *owner.life, owner.liveness_value);
}

void pass_on(const owner_view& owner) noexcept {
  if (owner.life->load(std::memory_order_acquire) != owner.liveness_value) {
    base::futex_wake(futex_of(owner.life), INT_MAX);
  }
}

} // namespace deadbolt::regions
