// SPDX-License-Identifier: MIT
// The parts of lock and unlock that robust_mutex and robust_pi_mutex share.
#ifndef DEADBOLT_ROBUST_ROBUST_LOCK_HPP
#define DEADBOLT_ROBUST_ROBUST_LOCK_HPP

#include <base/clock.hpp>
#include <base/robust_list.hpp>
#include <deadbolt/detail/robust_node.h>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>
#include <robust/thread_identity.hpp>

namespace deadbolt::robust {

using base::is_first;
using base::link_front;
using base::unlink;
using detail::deadline;
using robust_node = deadbolt_robust_node;

// robust_node::state, beside the lock word. Only the owner reads or writes it, so it
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

// death order: before the lock word can hold the caller's TID, the kernel must be able to find
// the word. list_op_pending leads to it from this store until the node is on the list; and again
// from before the node leaves the list until the word is released.
inline void announce(thread_identity self, robust_list* entry) noexcept {
  __atomic_store_n(&self.head->list_op_pending, entry, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// death order: the announced lock is on the list by now, or no longer owned by the caller.
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

// Whether the caller holds `node`, which is `entry` on its list. The function looks at the
// list first because the word is slow to read: a load of what a locked instruction has
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

inline bool is_over(const deadline* deadline) noexcept {
  return deadline != nullptr && base::now(deadline->realtime) >= deadline->nanoseconds;
}

// Aborts: a mutex cannot be at `address`.
[[noreturn]] void abort_misplaced(const void* address) noexcept;
inline bool has_place(const robust_node& node) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(&node);
  return address != 0 && address % alignof(robust_node) == 0;
}

// Aborts: the kernel refused what a lock cannot do without.
[[noreturn]] void abort_futex(const char* call, const std::uint32_t* word, long error) noexcept;

// The identity of a thread that may not have used a lock yet.
inline thread_identity first_use(const robust_node& node) noexcept {
  if (__builtin_expect(!has_place(node), 0)) abort_misplaced(&node);
  return this_thread(&node);
}

// Lock and unlock of one kind of mutex. `Kind` has
//   static robust_list* pending_entry(robust_node&);  the entry in list_op_pending
//   static robust_list* list_entry(robust_node&);     the entry on the list
//   static void release_word(thread_identity, robust_node&);
//     Releases the word, wakes a waiter and leaves nothing pending.
//   static lock_status wait(thread_identity, robust_node&, const deadline*);
//     Waits for the word. On entry list_op_pending names the node (announce()). On return the
//     caller holds the lock and the node is on its list (settle()), or list_op_pending is cleared
//     (retract()).
//
// The paths without contention call nothing before they return, and so save no registers:
// the rarer cases are functions of their own.
template <class Kind>
struct lock_operations {
  static lock_status lock(robust_node& node) noexcept {
    return is_ready(node) ? lock_as(known_thread(), node, nullptr) : first_lock(node);
  }

  static lock_status lock_until(robust_node& node, const deadline& deadline) noexcept {
    return lock_as(first_use(node), node, &deadline);
  }

  static unlock_status unlock(robust_node& node) noexcept {
    return is_ready(node) ? unlock_as(known_thread(), node) : first_unlock(node);
  }

  // For a caller whose TID the word holds: puts the node on the list, clears list_op_pending
  // and returns the result of the lock operation.
  [[gnu::always_inline]] static lock_status settle(thread_identity self, robust_node& node,
                                                   bool owner_died) noexcept {
    link_front(self.head, links(node), Kind::list_entry(node));
    retract(self);
    if (__builtin_expect(!owner_died && node.state == consistent, 1)) return lock_status::acquired;
    return settle_unrepaired(self, node, owner_died);
  }

private:
  static bool is_ready(const robust_node& node) noexcept {
    return __builtin_expect(has_place(node) && is_known_thread(), 1);
  }

  [[gnu::always_inline]] static lock_status lock_as(thread_identity self, robust_node& node,
                                                    const deadline* deadline) noexcept {
    announce(self, Kind::pending_entry(node));
    if (__builtin_expect(take_free_word(self, node), 1)) return settle(self, node, false);
    return Kind::wait(self, node, deadline);
  }
  [[gnu::noinline, gnu::cold]] static lock_status first_lock(robust_node& node) noexcept {
    return lock_as(first_use(node), node, nullptr);
  }

  [[gnu::noinline, gnu::cold]] static lock_status
  settle_unrepaired(thread_identity self, robust_node& node, bool owner_died) noexcept {
    if (owner_died && node.state != not_recoverable) {
      node.state = inconsistent;
      return lock_status::owner_died;
    }
    if (node.state == consistent) return lock_status::acquired;
    // Not recoverable: release it, so that the next locker is told the same.
    release(self, node);
    return lock_status::not_recoverable;
  }

  [[gnu::always_inline]] static unlock_status unlock_as(thread_identity self,
                                                        robust_node& node) noexcept {
    if (!holds(self, node, Kind::list_entry(node))) return unlock_status::not_owner;
    // POSIX: a mutex that is released unrepaired is not recoverable.
    if (__builtin_expect(node.state != consistent, 0)) node.state = not_recoverable;
    release(self, node);
    return unlock_status::released;
  }
  [[gnu::noinline, gnu::cold]] static unlock_status first_unlock(robust_node& node) noexcept {
    return unlock_as(first_use(node), node);
  }

  static void release(thread_identity self, robust_node& node) noexcept {
    announce(self, Kind::pending_entry(node));
    unlink(self.head, links(node), Kind::list_entry(node));
    // death order: the node leaves the list before the word is free. If the thread dies between
    // the two, the kernel finds the mutex by list_op_pending.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    detail::thread_sanitizer_unlocks(&node.word);
    Kind::release_word(self, node);
  }
};

} // namespace deadbolt::robust
#endif
