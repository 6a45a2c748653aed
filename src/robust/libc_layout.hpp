// SPDX-License-Identifier: MIT
// How this libc links the mutexes on a thread's robust list (spec section 6).
//
// `next` is the entry that the kernel follows. A node has its back link 8 bytes
// in front of it, and both libcs let that point at the neighbour's `next`; the
// head is a neighbour like the others.
#ifndef DEADBOLT_ROBUST_LIBC_LAYOUT_HPP
#define DEADBOLT_ROBUST_LIBC_LAYOUT_HPP

#include <cstdint>
#include <features.h>
#include <linux/futex.h>

namespace deadbolt::robust {

#if defined(__GLIBC__)
inline constexpr long libc_futex_offset = -32;
inline constexpr bool libc_marks_pi_entries = true;
inline constexpr bool libc_registers_on_first_use = false; // but when a thread starts
#else                                                      // musl
inline constexpr long libc_futex_offset = -28;
inline constexpr bool libc_marks_pi_entries = false;
inline constexpr bool libc_registers_on_first_use = true;
#endif

inline constexpr std::uintptr_t pi_bit = 1;

inline robust_list* without_pi_bit(robust_list* entry) noexcept {
  return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(entry) & ~pi_bit);
}

inline bool is_head(const robust_list_head* head, robust_list* entry) noexcept {
  return without_pi_bit(entry) == &head->list;
}

// The back link in front of `entry`.
inline void** back_link(robust_list* entry) noexcept {
  return reinterpret_cast<void**>(reinterpret_cast<char*>(without_pi_bit(entry)) - sizeof(void*));
}

// Puts `node` at the front of the list. `entry` is `node` with its PI bit.
// The caller has `entry` in list_op_pending: until the last store the kernel
// finds the lock there.
inline void link_front(robust_list_head* head, robust_list* node, robust_list* entry) noexcept {
  robust_list* first = head->list.next;
  node->next = first;
  *back_link(node) = &head->list;
  if (!is_head(head, first)) *back_link(first) = node;
  // death order: the node's links are whole before the kernel can reach it.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  head->list.next = entry;
}

// Whether `entry` is first on the list. The calling thread holds its lock then: the
// list is the thread's own memory, a lock is put there after it was taken and taken
// off before it is let go. What comes later on the list is reached through shared
// memory, and proves nothing.
inline bool is_first(const robust_list_head* head, const robust_list* entry) noexcept {
  return head->list.next == entry;
}

// Takes `node`, which is `entry` on the list, off wherever it is. The caller has it in
// list_op_pending.
inline void unlink(robust_list_head* head, robust_list* node, const robust_list* entry) noexcept {
  robust_list* next = node->next;
  if (__builtin_expect(is_first(head, entry), 1)) {
    head->list.next = next;
    if (!is_head(head, next)) *back_link(next) = &head->list;
    return;
  }
  void* link = *back_link(node);
  without_pi_bit(static_cast<robust_list*>(link))->next = next;
  if (!is_head(head, next)) *back_link(next) = link;
}

} // namespace deadbolt::robust
#endif
