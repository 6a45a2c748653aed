// SPDX-License-Identifier: MIT
// The paths without contention; robust_mutex_slow.cpp has the other.
#include <deadbolt/robust_mutex.hpp>

#include <robust/quiescence.hpp>
#include <robust/robust_mutex_operations.hpp>

namespace deadbolt {

using namespace robust;

namespace {

inline lock_status lock_as(thread_identity self, robust_node& node,
                           const deadline* deadline) noexcept {
  announce(self, links(node));
  if (__builtin_expect(take_free_word(self, node), 1)) return settle(self, node, false);
  return lock_slow(self, node, deadline);
}
[[gnu::noinline, gnu::cold]] lock_status first_lock(robust_node& node) noexcept {
  return lock_as(first_use(node), node, nullptr);
}

inline unlock_status unlock_as(thread_identity self, robust_node& node) noexcept {
  if (!holds(self, node, links(node))) return unlock_status::not_owner;
  give_up_unrepaired(node);
  release(self, node);
  return unlock_status::released;
}
[[gnu::noinline, gnu::cold]] unlock_status first_unlock(robust_node& node) noexcept {
  return unlock_as(first_use(node), node);
}

} // namespace

lock_status robust_mutex::acquire() noexcept {
  return is_ready(node_) ? lock_as(known_thread(), node_, nullptr) : first_lock(node_);
}

lock_status robust_mutex::acquire_until(detail::deadline deadline) noexcept {
  return lock_as(first_use(node_), node_, &deadline);
}

// Never spins, never sleeps, and takes a free word whatever its flags say.
lock_status robust_mutex::try_acquire() noexcept {
  const thread_identity self = first_use(node_);
  announce(self, links(node_));
  std::uint32_t seen = __atomic_load_n(&node_.word, __ATOMIC_RELAXED);
  while (is_free(seen)) {
    const std::uint32_t mine = self.tid | (seen & FUTEX_WAITERS);
    // order: acquire, pairs with the release of the last owner's unlock.
    if (__atomic_compare_exchange_n(&node_.word, &seen, mine, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      return settle(self, node_, (seen & FUTEX_OWNER_DIED) != 0);
    }
  }
  retract(self);
  return lock_status::busy;
}

unlock_status robust_mutex::release() noexcept {
  return is_ready(node_) ? unlock_as(known_thread(), node_) : first_unlock(node_);
}

bool robust_mutex::mark_consistent() noexcept {
  return robust::mark_consistent(node_);
}

pid_t robust_mutex::owner() const noexcept {
  return static_cast<pid_t>(__atomic_load_n(&node_.word, __ATOMIC_RELAXED) & FUTEX_TID_MASK);
}

robust_mutex::~robust_mutex() {
  await_destruction("robust_mutex destroyed", this, sizeof *this);
}

} // namespace deadbolt
