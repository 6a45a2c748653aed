// SPDX-License-Identifier: MIT
// A thread's robust list: the head that is registered with the kernel, and how a node is put on the
// list and taken off it.
//
// The list belongs to the libc, which registered its head with the kernel. The kernel follows
// `next` alone. Both libcs also keep a back link just in front of each `next`, which points at
// the neighbour's `next` (the head's included); only 32-bit glibc has none.
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

inline constexpr bool is_64_bit = sizeof(void*) == 8;
#if defined(__GLIBC__)
inline constexpr bool is_glibc = true;
#else
inline constexpr bool is_glibc = false;
#endif
inline constexpr bool has_back_links = is_64_bit || !is_glibc;

// The lock word's place relative to `next`, the same for all of this libc's robust mutexes.
inline constexpr long libc_futex_offset =
    is_64_bit ? (is_glibc ? -32 : -28) : (is_glibc ? -20 : -12);

// Bit 0 of a pointer to an entry says that its lock word is a priority-inheritance one.
inline constexpr std::uintptr_t pi_bit = 1;

inline robust_list* without_pi_bit(robust_list* entry) noexcept {
  return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(entry) & ~pi_bit);
}

inline bool is_head(const robust_list_head* head, robust_list* entry) noexcept {
  return without_pi_bit(entry) == &head->list;
}

inline void** back_link(robust_list* entry) noexcept {
  return reinterpret_cast<void**>(without_pi_bit(entry)) - 1;
}

// Puts `node` at the front of the list; `entry` is `node` with its PI bit. Until the last
// store the kernel does not find the node on the list. The caller has therefore stored it in
// list_op_pending, or the node's word is one that the kernel would not change.
inline void link_front(robust_list_head* head, robust_list* node, robust_list* entry) noexcept {
  robust_list* first = head->list.next;
  node->next = first;
  if constexpr (has_back_links) {
    *back_link(node) = &head->list;
    if (!is_head(head, first)) *back_link(first) = node;
  }
  // death order: the node's links are complete before the kernel can reach it.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  head->list.next = entry;
}

inline bool is_first(const robust_list_head* head, const robust_list* entry) noexcept {
  return head->list.next == entry;
}

// Takes `node` off the list, wherever it is on the list. `entry` is `node` with its PI bit.
inline void unlink(robust_list_head* head, robust_list* node, const robust_list* entry) noexcept {
  robust_list* next = node->next;
  if (__builtin_expect(is_first(head, entry), 1)) {
    head->list.next = next;
    if constexpr (has_back_links) {
      if (!is_head(head, next)) *back_link(next) = &head->list;
    }
    return;
  }
  if constexpr (has_back_links) {
    void* link = *back_link(node);
    without_pi_bit(static_cast<robust_list*>(link))->next = next;
    if (!is_head(head, next)) *back_link(next) = link;
  } else {
    for (robust_list* before = &head->list; !is_head(head, before->next);
         before = without_pi_bit(before->next)) {
      if (before->next != entry) continue;
      before->next = next;
      return;
    }
  }
}

} // namespace deadbolt::base
#endif
