// SPDX-License-Identifier: MIT
// glibc's robust pthread_mutex_t and the thread's robust list, as all of glibc 2.31 to 2.44
// lay them out on x86-64.
//
// The fields of a mutex that processes share are ABI: programs that were linked against an
// older glibc share them with programs of a newer one. What is not ABI is where a thread
// keeps its robust list head and its TID; both are checked when the library is loaded.
//
//   __lock    the lock word: TID, FUTEX_WAITERS, FUTEX_OWNER_DIED (the kernel reads it)
//   __count   how often a recursive mutex is held
//   __owner   TID of the owner; owner_inconsistent; owner_not_recoverable
//   __nusers  owners and waiters in pthread_cond_wait; a dead owner stays counted
//   __kind    bits 0-1 the kind, then the bits below
//   __list    links to the __next fields of its neighbours; the head has the same shape
#ifndef DEADBOLT_PRELOAD_MUTEX_VIEW_HPP
#define DEADBOLT_PRELOAD_MUTEX_VIEW_HPP

#include <cstddef>
#include <cstdint>
#include <linux/futex.h>
#include <pthread.h>

namespace deadbolt::preload {

inline constexpr int kind_mask = 3;
inline constexpr int kind_recursive = 1;
inline constexpr int kind_error_check = 2;
inline constexpr int robust_bit = 16;
inline constexpr int inherit_bit = 32;
inline constexpr int protect_bit = 64;

// In __owner. The second is final until the mutex is initialised anew.
inline constexpr int owner_inconsistent = 0x7fffffff;
inline constexpr int owner_not_recoverable = 0x7ffffffe;

static_assert(offsetof(pthread_mutex_t, __data.__lock) == 0);
static_assert(offsetof(pthread_mutex_t, __data.__owner) == 8);
static_assert(offsetof(pthread_mutex_t, __data.__kind) == 16);
static_assert(offsetof(pthread_mutex_t, __data.__list.__prev) == 24);
static_assert(offsetof(pthread_mutex_t, __data.__list.__next) == 32);

inline constexpr long entry_to_word = -32; // futex_offset of the robust list head

// From the thread pointer to the thread's robust list head; 0: not known, and then no
// mutex is handled here.
[[gnu::visibility("hidden")]] extern constinit std::ptrdiff_t head_offset;

// Finds head_offset and compares what lies around the head with what the kernel says.
bool find_thread_layout() noexcept;

inline robust_list_head* own_head() noexcept {
  return reinterpret_cast<robust_list_head*>(static_cast<char*>(__builtin_thread_pointer()) +
                                             head_offset);
}

// struct pthread has the TID, 4 bytes that are no longer used and the head's back link
// in front of the head.
inline std::uint32_t own_tid(const robust_list_head* head) noexcept {
  return *reinterpret_cast<const std::uint32_t*>(reinterpret_cast<const char*>(head) - 16);
}

inline int kind_of(const pthread_mutex_t* mutex) noexcept {
  // order: relaxed, the kind of a robust mutex never changes.
  return __atomic_load_n(&mutex->__data.__kind, __ATOMIC_RELAXED);
}

// Robust, and not the priority-protect kind, which glibc does not combine with robust.
inline bool is_handled(const pthread_mutex_t* mutex) noexcept {
  return (kind_of(mutex) & (robust_bit | protect_bit)) == robust_bit && head_offset != 0;
}

inline std::uint32_t* word_of(pthread_mutex_t* mutex) noexcept {
  return reinterpret_cast<std::uint32_t*>(&mutex->__data.__lock);
}

// The mutex's entry for list_op_pending and for links to it: bit 0 says PI.
inline robust_list* entry_of(pthread_mutex_t* mutex, int kind) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(&mutex->__data.__list.__next);
  return reinterpret_cast<robust_list*>(address | ((kind & inherit_bit) != 0 ? 1U : 0U));
}

inline void set_pending(robust_list_head* head, robust_list* entry) noexcept {
  // death order: stands before everything that the operation does next, so that the
  // kernel's exit walk looks at the word of an operation that a death interrupts.
  __atomic_store_n(&head->list_op_pending, entry, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

inline void clear_pending(robust_list_head* head) noexcept {
  // death order: comes after everything that the operation did.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(&head->list_op_pending, nullptr, __ATOMIC_RELEASE);
}

namespace links {

inline char* without_pi_bit(void* link) noexcept {
  return reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(link) & ~std::uintptr_t{1});
}
// The back link that lies in front of the __next field that `link` leads to.
inline void*& previous(void* link) noexcept {
  return *reinterpret_cast<void**>(without_pi_bit(link) - sizeof(void*));
}
inline void*& next(void* link) noexcept {
  return *reinterpret_cast<void**>(without_pi_bit(link));
}

} // namespace links

// Puts a mutex first on the thread's list. The caller has stored its entry in list_op_pending.
inline void enqueue(robust_list_head* head, robust_list* entry) noexcept {
  void* const first = head->list.next;
  links::previous(first) = links::without_pi_bit(entry);
  links::next(entry) = first;
  links::previous(entry) = &head->list;
  // death order: its own links are whole before the kernel can reach it.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(&head->list.next, entry, __ATOMIC_RELAXED);
}

// Takes the mutex off the list, and leaves null links. The caller has stored its entry in
// list_op_pending.
inline void dequeue(pthread_mutex_t* mutex) noexcept {
  void* const next = mutex->__data.__list.__next;
  void* const previous = mutex->__data.__list.__prev;
  links::previous(next) = previous;
  links::next(previous) = next;
  mutex->__data.__list.__prev = nullptr;
  mutex->__data.__list.__next = nullptr;
}

// The same for the first of the list.
inline void dequeue_first(pthread_mutex_t* mutex, robust_list_head* head) noexcept {
  void* const next = mutex->__data.__list.__next;
  links::previous(next) = &head->list;
  head->list.next = static_cast<robust_list*>(next);
  mutex->__data.__list.__prev = nullptr;
  mutex->__data.__list.__next = nullptr;
}

} // namespace deadbolt::preload
#endif
