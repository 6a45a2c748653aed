// SPDX-License-Identifier: MIT
// The operations on robust mutexes that this library does instead of the libc, with the results of
// glibc, leaving the same bytes in the mutex. For mutexes of which is_handled() is true.
#ifndef DEADBOLT_PRELOAD_OPERATIONS_HPP
#define DEADBOLT_PRELOAD_OPERATIONS_HPP

#include "preload/mutex_view.hpp"

#include <base/clock.hpp>
#include <cstdint>
#include <pthread.h>
#include <robust/engine.hpp>

namespace deadbolt::preload {

// What a caller does with __nusers: pthread_cond_wait keeps its user counted while it
// waits, and takes the mutex back as one of possibly many waiters.
enum class caller : std::uint8_t { program, condition_variable };

// `until`: nullptr means no time-out. An invalid time is an error only if the lock is not free.
struct wait_limit {
  bool realtime;
  const timespec* until;
};
inline constexpr wait_limit no_limit{.realtime = true, .until = nullptr};

[[nodiscard]] int lock_slow(pthread_mutex_t* mutex, caller who, const wait_limit& limit) noexcept;
[[nodiscard]] int try_lock_slow(pthread_mutex_t* mutex) noexcept;
[[nodiscard]] int unlock_slow(pthread_mutex_t* mutex, caller who) noexcept;

// For a caller that has taken the word of a mutex that is not recoverable, with the entry pending:
// releases the word, wakes the waiters and returns ENOTRECOVERABLE.
[[nodiscard]] int refuse(pthread_mutex_t* mutex) noexcept;

// The release alone: the mutex is off the list and its entry pending. Wakes a waiter, and
// leaves nothing pending.
void release(std::uint32_t* word, int kind) noexcept;
// The same for a PI word that the engine did not release; `seen` is the value that the engine saw.
void release_inheriting_slow(std::uint32_t* word, robust_list_head* head, std::uint32_t tid,
                             std::uint32_t seen) noexcept;

// Completes a lock whose word the caller has taken and whose last owner did not die.
[[gnu::always_inline]] inline int finish_lock(pthread_mutex_t* mutex, robust_list_head* head,
                                              robust_list* entry, std::uint32_t tid,
                                              caller who) noexcept {
  auto& data = mutex->__data;
  if (__builtin_expect(data.__owner == owner_not_recoverable, 0)) return refuse(mutex);
  data.__count = 1;
  enqueue(head, entry);
  clear_pending(head);
  data.__owner = static_cast<int>(tid);
  if (who == caller::program) ++data.__nusers;
  return 0;
}

// For a call by the program: takes a word that is 0. False: it is not 0; the entry is pending.
[[gnu::always_inline]] inline bool lock_free_word(pthread_mutex_t* mutex, int& result) noexcept {
  robust_list_head* const head = own_head();
  const std::uint32_t tid = own_tid(head);
  robust_list* const entry = entry_of(mutex, kind_of(mutex));
  set_pending(head, entry);
  std::uint32_t seen = 0;
  // order: acquire pairs with the release of the last owner.
  if (__builtin_expect(!__atomic_compare_exchange_n(word_of(mutex), &seen, tid, false,
                                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
                       0))
    return false;
  result = finish_lock(mutex, head, entry, tid, caller::program);
  return true;
}

[[gnu::always_inline]] inline int lock(pthread_mutex_t* mutex, const wait_limit& limit) noexcept {
  int result;
  return lock_free_word(mutex, result) ? result : lock_slow(mutex, caller::program, limit);
}

[[gnu::always_inline]] inline int try_lock(pthread_mutex_t* mutex) noexcept {
  int result;
  return lock_free_word(mutex, result) ? result : try_lock_slow(mutex);
}

// A mutex that is first on the thread's own list is held by the thread: the list is its own
// memory, a mutex is put there after its word was taken and taken off before it is released.
// So the word need not be read, which the processor could not do before the locked
// instruction that wrote it is finished.
[[gnu::always_inline]] inline int unlock(pthread_mutex_t* mutex, caller who) noexcept {
  auto& data = mutex->__data;
  const int kind = kind_of(mutex);
  robust_list_head* const head = own_head();
  const std::uint32_t tid = own_tid(head);
  robust_list* const entry = entry_of(mutex, kind);
  if (__builtin_expect(head->list.next != entry || data.__owner != static_cast<int>(tid) ||
                           (kind & kind_mask) == kind_recursive,
                       0))
    return unlock_slow(mutex, who);

  set_pending(head, entry);
  dequeue_first(mutex, head);
  data.__owner = 0;
  if (who == caller::program) --data.__nusers;
  // death order: the mutex is off the list before its word is released; the next owner may
  // put it on its own.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  std::uint32_t* const word = word_of(mutex);
  if ((kind & inherit_bit) == 0) {
    robust::chosen_engine.unlock(word, head, tid);
    return 0;
  }
  std::uint32_t seen = tid;
  if (__builtin_expect(robust::chosen_engine.pi_try_unlock(word, &seen, head) == 0, 0))
    release_inheriting_slow(word, head, tid, seen);
  return 0;
}

} // namespace deadbolt::preload
#endif
