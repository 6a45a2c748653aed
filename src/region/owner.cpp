// SPDX-License-Identifier: MIT
#include <deadbolt/lock_owner.hpp>

#include <region/bias.hpp>
#include <region/process.hpp>
#include <region/slots.hpp>

namespace deadbolt {

namespace {

// Whether the member that `seen` names is gone. It may have released the lock before.
bool is_gone(const detail::open_region& in, std::uint64_t seen, lock_owner& alive) noexcept {
  const regions::process_state* self = regions::this_process();
  const regions::owner_view owner = regions::look_at_owner(in, seen);
  if (owner.dead) return true;
  // order: acquire, so that the generation is looked at later. The next member of the slot writes
  // these by release stores, after it has advanced the generation.
  const auto pid = static_cast<pid_t>(owner.slot->pid.load(std::memory_order_acquire));
  const auto tid = static_cast<pid_t>(owner.slot->tid.load(std::memory_order_acquire));
  const std::uint64_t pid_namespace = owner.slot->pid_namespace.load(std::memory_order_acquire);
  if (owner.slot->generation.load(std::memory_order_acquire) != regions::generation_of(seen) ||
      regions::is_gone_unmarked(in, owner, seen)) {
    return true;
  }
  const bool here =
      self != nullptr && pid_namespace != 0 && pid_namespace == self->own_pid_namespace();
  alive =
      here ? lock_owner{owner_state::alive, pid, tid} : lock_owner{owner_state::elsewhere, 0, 0};
  return false;
}

} // namespace

lock_owner detail::owner_of(const std::uint64_t* word) noexcept {
  const open_region* in = regions::region_at(word);
  if (in == nullptr) return {owner_state::unknown, 0, 0};
  for (std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);;) {
    if (regions::is_free(seen)) return {owner_state::not_held, 0, 0};
    if (regions::is_not_recoverable(seen)) return {owner_state::not_recoverable, 0, 0};
    if (regions::is_biased(seen) && !regions::holds_by_bias(*in, word, seen)) {
      return {owner_state::not_held, 0, 0};
    }
    lock_owner alive{};
    if (!is_gone(*in, seen, alive)) return alive;
    // The member may have unlocked before it was gone, and may be a live thread that has detached.
    // If the word still names the member, it held the lock until its end: no other member ever has
    // the same id. A biased word names the member also while it does not hold the lock; its
    // announcement says whether it did.
    const std::uint64_t after = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (regions::id_of(after) == regions::id_of(seen) &&
        (!regions::is_biased(after) || regions::holds_by_bias(*in, word, after))) {
      return {owner_state::dead, 0, 0};
    }
    seen = after;
  }
}

const char* DEADBOLT_ABI::to_string(owner_state state) noexcept {
  switch (state) {
  case owner_state::not_held:
    return "not_held";
  case owner_state::alive:
    return "alive";
  case owner_state::elsewhere:
    return "elsewhere";
  case owner_state::dead:
    return "dead";
  case owner_state::not_recoverable:
    return "not_recoverable";
  case owner_state::unknown:
    return "unknown";
  }
  return "not an owner_state";
}

} // namespace deadbolt
