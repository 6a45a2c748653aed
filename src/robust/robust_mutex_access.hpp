// SPDX-License-Identifier: MIT
// What the implementation may do with a robust_mutex's words.
#ifndef DEADBOLT_ROBUST_ROBUST_MUTEX_ACCESS_HPP
#define DEADBOLT_ROBUST_ROBUST_MUTEX_ACCESS_HPP

#include <deadbolt/robust_mutex.hpp>
#include <robust/engine.hpp>
#include <robust/libc_layout.hpp>
#include <robust/thread_identity.hpp>

namespace deadbolt {

// The owner's word beside the lock word. Only the owner reads or writes it, so it
// needs no atomics; the lock word orders one owner's accesses before the next's.
//
//   state            set by                          cleared by
//   consistent       construction                    -
//   inconsistent     an owner that was told          mark_consistent()
//                    owner_died
//   not_recoverable  unlock() while inconsistent     never
enum robust_state : std::uint32_t { consistent = 0, inconsistent = 1, not_recoverable = 2 };

struct robust_mutex_access {
  using identity = robust::thread_identity;

  static robust_list* node(robust_mutex& mutex) noexcept {
    return reinterpret_cast<robust_list*>(&mutex.next_);
  }
  static std::uint32_t& word(robust_mutex& mutex) noexcept { return mutex.word_; }
  static std::uint32_t& state(robust_mutex& mutex) noexcept { return mutex.state_; }
  static std::uint32_t& spins(robust_mutex& mutex) noexcept { return mutex.spins_; }

  // death order: before the lock word can name us, the kernel must know where it
  // is. After this store and until the node is linked, list_op_pending says so.
  static void announce(identity self, robust_mutex& mutex) noexcept {
    __atomic_store_n(&self.head->list_op_pending, node(mutex), __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
  }
  // death order: whatever was announced is on the list, or not ours any more.
  static void retract(identity self) noexcept {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&self.head->list_op_pending, nullptr, __ATOMIC_RELAXED);
  }

  // One try at a free, unmarked word.
  static bool take_free_word(identity self, robust_mutex& mutex) noexcept {
    std::uint32_t free = 0;
    // order: acquire, pairs with the release of the last owner's unlock.
    return __atomic_compare_exchange_n(&mutex.word_, &free, self.tid, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
  }

  // The word names us: put the mutex on the list, and say how we came by it.
  static lock_status settle(identity self, robust_mutex& mutex, bool owner_died) noexcept;
  static lock_status lock_slow(identity self, robust_mutex& mutex,
                               const detail::deadline* deadline) noexcept;
  // Off the list, released, next waiter woken, nothing pending.
  static void release(identity self, robust_mutex& mutex) noexcept {
    announce(self, mutex);
    robust::unlink(self.head, node(mutex));
    // death order: off the list before the word is free; until the release
    // list_op_pending still passes the mutex on.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    robust::unlock_and_wake(&mutex.word_, self.head);
  }
};

} // namespace deadbolt
#endif
