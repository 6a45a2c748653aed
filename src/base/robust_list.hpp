// SPDX-License-Identifier: MIT
// A thread's robust list: the head that the thread registered with the kernel, and how its
// libc links the mutexes on it.
//
// `next` is the entry that the kernel follows. Where the list is doubly linked (not in
// glibc on 32 bits) a node has its back link one pointer in front of `next`, and every libc
// lets that point at the neighbour's `next`; the head is a neighbour like the others.
#ifndef DEADBOLT_BASE_ROBUST_LIST_HPP
#define DEADBOLT_BASE_ROBUST_LIST_HPP

#include <cstddef>
#include <cstdint>
#include <features.h>
#include <linux/futex.h>
#include <raw_syscall.hpp>
#include <sys/syscall.h>
#include <sys/types.h>

namespace deadbolt::base {

inline constexpr bool is_64_bit = sizeof(void*) == 8;
#if defined(__GLIBC__)
inline constexpr bool is_glibc = true;
#else // musl
inline constexpr bool is_glibc = false;
#endif

// From an entry to its lock word.
inline constexpr long libc_futex_offset =
    is_64_bit ? (is_glibc ? -32 : -28) : (is_glibc ? -20 : -12);
inline constexpr bool libc_has_back_links = is_64_bit || !is_glibc;
// Whether the libc sets bit 0 of a PI mutex's entry on the list, as the kernel expects.
inline constexpr bool libc_marks_pi_entries = is_glibc;
// glibc registers a thread's list when the thread starts.
inline constexpr bool libc_registers_on_first_use = !is_glibc;

// The head of thread `tid` (0: the caller); nullptr when it has registered none.
// -ESRCH when there is no such thread.
inline long get_robust_list(pid_t tid, robust_list_head*& head) noexcept {
  std::size_t size = 0;
  head = nullptr;
  return arch::raw_syscall(SYS_get_robust_list, tid, &head, &size);
}

// The caller's head; nullptr when it has none, or may not ask.
inline robust_list_head* own_robust_list() noexcept {
  robust_list_head* head = nullptr;
  return get_robust_list(0, head) == 0 ? head : nullptr;
}

// Locks and unlocks a robust mutex that is shared between processes: musl registers a
// thread's robust list at its first such lock. Has no lasting effect on glibc.
void make_libc_register_robust_list() noexcept;

inline constexpr std::uintptr_t pi_bit = 1;

inline robust_list* without_pi_bit(robust_list* entry) noexcept {
  return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(entry) & ~pi_bit);
}

inline bool is_head(const robust_list_head* head, robust_list* entry) noexcept {
  return without_pi_bit(entry) == &head->list;
}

// The back link in front of `entry`.
inline void** back_link(robust_list* entry) noexcept {
  return reinterpret_cast<void**>(without_pi_bit(entry)) - 1;
}

// Puts `node` at the front of the list. `entry` is `node` with its PI bit. Until the last
// store the kernel does not find the node here: if its word can name the caller, the caller
// has `entry` in list_op_pending.
inline void link_front(robust_list_head* head, robust_list* node, robust_list* entry) noexcept {
  robust_list* first = head->list.next;
  node->next = first;
  if constexpr (libc_has_back_links) {
    *back_link(node) = &head->list;
    if (!is_head(head, first)) *back_link(first) = node;
  }
  // death order: the node's links are whole before the kernel can reach it.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  head->list.next = entry;
}

// Whether `entry` is first on the list. If so, the calling thread holds its lock: the head
// is the thread's own memory, and the thread puts a lock there after it was acquired and
// removes it before it is released. Later entries are reached through shared memory, and
// prove nothing.
inline bool is_first(const robust_list_head* head, const robust_list* entry) noexcept {
  return head->list.next == entry;
}

// Takes `node`, which is `entry` on the list, off wherever it is. If its word names the
// caller, the caller has `entry` in list_op_pending.
inline void unlink(robust_list_head* head, robust_list* node, const robust_list* entry) noexcept {
  robust_list* next = node->next;
  if (__builtin_expect(is_first(head, entry), 1)) {
    head->list.next = next;
    if constexpr (libc_has_back_links) {
      if (!is_head(head, next)) *back_link(next) = &head->list;
    }
    return;
  }
  if constexpr (libc_has_back_links) {
    void* link = *back_link(node);
    without_pi_bit(static_cast<robust_list*>(link))->next = next;
    if (!is_head(head, next)) *back_link(next) = link;
  } else {
    for (robust_list* at = &head->list;;) {
      robust_list* follower = without_pi_bit(at->next);
      if (follower == node) {
        at->next = next;
        return;
      }
      if (follower == &head->list) return; // not on the list
      at = follower;
    }
  }
}

} // namespace deadbolt::base
#endif
