// SPDX-License-Identifier: MIT
// What every lock on the thread's robust list does with its node.
#ifndef DEADBOLT_ROBUST_NODE_OPERATIONS_HPP
#define DEADBOLT_ROBUST_NODE_OPERATIONS_HPP

#include <base/clock.hpp>
#include <deadbolt/lock_result.hpp>
#include <deadbolt/robust_node.hpp>
#include <deadbolt/timed_lock.hpp>
#include <robust/libc_layout.hpp>
#include <robust/thread_identity.hpp>

namespace deadbolt::robust {

using detail::deadline;
using detail::robust_node;

// The owner's word beside the lock word. Only the owner reads or writes it, so it
// needs no atomics; the lock word orders one owner's accesses before the next's.
//
//   state            set by                          cleared by
//   consistent       construction                    -
//   inconsistent     an owner that was told          mark_consistent()
//                    owner_died
//   not_recoverable  unlock() while inconsistent     never
enum node_state : std::uint32_t { consistent = 0, inconsistent = 1, not_recoverable = 2 };

inline robust_list* links(robust_node& node) noexcept {
  return reinterpret_cast<robust_list*>(&node.next);
}

// death order: before the lock word can name us, the kernel must know where it is.
// After this store and until the node is linked, list_op_pending says so; and from
// before it is unlinked until it is released.
inline void announce(thread_identity self, robust_list* entry) noexcept {
  __atomic_store_n(&self.head->list_op_pending, entry, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// death order: whatever was announced is on the list, or not ours any more.
inline void retract(thread_identity self) noexcept {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(&self.head->list_op_pending, nullptr, __ATOMIC_RELAXED);
}

constexpr bool is_free(std::uint32_t word) noexcept {
  return (word & FUTEX_TID_MASK) == 0;
}

constexpr bool is_owned_by(std::uint32_t word, thread_identity self) noexcept {
  return (word & FUTEX_TID_MASK) == self.tid;
}

// Whether the caller holds `node`, which is `entry` on its list. The list comes
// first because the word is slow to read: a load of what a locked instruction has
// just written costs a quarter of the whole lock and unlock.
inline bool holds(thread_identity self, const robust_node& node,
                  const robust_list* entry) noexcept {
  return __builtin_expect(is_first(self.head, entry), 1) ||
         is_owned_by(__atomic_load_n(&node.word, __ATOMIC_RELAXED), self);
}

// One try at a free, unmarked word.
inline bool take_free_word(thread_identity self, robust_node& node) noexcept {
  std::uint32_t free = 0;
  // order: acquire, pairs with the release of the last owner's unlock.
  return __atomic_compare_exchange_n(&node.word, &free, self.tid, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

// For the owner, just after it came to hold the word: how it holds it.
inline lock_status status_for_new_owner(robust_node& node, bool owner_died) noexcept {
  if (__builtin_expect(owner_died, 0) && node.state != not_recoverable) {
    node.state = inconsistent;
    return lock_status::owner_died;
  }
  return __builtin_expect(node.state == consistent, 1) ? lock_status::acquired
                                                       : lock_status::not_recoverable;
}

// For the owner, before it releases: POSIX's rule for unrepaired data.
inline void give_up_unrepaired(robust_node& node) noexcept {
  if (__builtin_expect(node.state != consistent, 0)) node.state = not_recoverable;
}

inline bool is_over(const deadline* deadline) noexcept {
  return deadline != nullptr && base::now(deadline->realtime) >= deadline->nanoseconds;
}

// mark_consistent() and owner() of both mutexes.
bool mark_consistent(robust_node& node) noexcept;

// Abort with a message unless a mutex can be at `address`.
void abort_misplaced(const void* address) noexcept;
inline bool has_place(const robust_node& node) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(&node);
  return address != 0 && address % alignof(robust_node) == 0;
}
inline void require_place(const robust_node& node) noexcept {
  if (__builtin_expect(!has_place(node), 0)) abort_misplaced(&node);
}

// What the fast paths ask for, and otherwise leave to a function of their own, which
// starts with first_use(): so they call nothing before they return, and save no registers.
inline bool is_ready(const robust_node& node) noexcept {
  return __builtin_expect(has_place(node) && is_known_thread(), 1);
}
inline thread_identity first_use(const robust_node& node) noexcept {
  require_place(node);
  return this_thread(&node);
}

// The kernel refused what a lock cannot do without.
[[noreturn]] void abort_futex(const char* call, const std::uint32_t* word, long error) noexcept;

} // namespace deadbolt::robust
#endif
