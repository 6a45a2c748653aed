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
  this_engine().unlock(&node.word, self.head, self.tid);
}

// The word names us: put the node on the list, and say how we came by it.
inline lock_status settle(thread_identity self, robust_node& node, bool owner_died) noexcept {
  link_front(self.head, links(node), links(node));
  retract(self);
  const lock_status status = status_for_new_owner(node, owner_died);
  // Not recoverable: pass it on to the next, who is to be told the same.
  if (__builtin_expect(status == lock_status::not_recoverable, 0)) release(self, node);
  return status;
}

// Waits. On entry the node is announced; on return it is held, or retracted.
lock_status lock_slow(thread_identity self, robust_node& node, const deadline* deadline) noexcept;

} // namespace deadbolt::robust
#endif
