// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_ROBUST_ROBUST_MUTEX_OPERATIONS_HPP
#define DEADBOLT_ROBUST_ROBUST_MUTEX_OPERATIONS_HPP

#include <deadbolt/thread_sanitizer.hpp>
#include <robust/engine.hpp>
#include <robust/node_operations.hpp>

namespace deadbolt::robust {

// Off the list, released, next waiter woken, nothing pending.
inline void release(thread_identity self, robust_node& node) noexcept {
  announce(self, links(node));
  unlink(self.head, links(node), links(node));
  // death order: off the list before the word is free; until the release
  // list_op_pending still passes the mutex on.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  detail::thread_sanitizer_unlocks(&node.word);
  chosen_engine.unlock(&node.word, self.head, self.tid);
}

// The rest of settle(), apart so that a lock that succeeds saves no registers for it.
lock_status settle_unrepaired(thread_identity self, robust_node& node, bool owner_died) noexcept;

// The word names us: put the node on the list, and say how we came by it.
inline lock_status settle(thread_identity self, robust_node& node, bool owner_died) noexcept {
  link_front(self.head, links(node), links(node));
  retract(self);
  if (__builtin_expect(!owner_died && node.state == consistent, 1)) return lock_status::acquired;
  return settle_unrepaired(self, node, owner_died);
}

// Waits. On entry the node is announced; on return it is held, or retracted.
lock_status lock_slow(thread_identity self, robust_node& node, const deadline* deadline) noexcept;

} // namespace deadbolt::robust
#endif
