// SPDX-License-Identifier: MIT
// A node on the thread's robust list whose links are nobody else's to write.
//
// The liveness word ends a shared page; `prev` and `next`, which the kernel and the libc
// follow, are where this libc expects them behind a lock word, and that is in the
// private page behind. Every libc's node has its word within one page's end:
//   glibc 64 bits  word 4072, prev 4096, next 4104   (next - word = 32)
//   musl  64 bits  word 4076, prev 4096, next 4104   (28)
//   glibc 32 bits  word 4076,            next 4096   (20, singly linked)
//   musl  32 bits  word 4088, prev 4096, next 4100   (12)
#ifndef DEADBOLT_REGION_ROBUST_NODE_HPP
#define DEADBOLT_REGION_ROBUST_NODE_HPP

#include <cstddef>
#include <cstdint>
#include <features.h>
#include <linux/futex.h>
#include <region/format.hpp>

namespace deadbolt::regions {

inline constexpr bool is_64_bit = sizeof(void*) == 8;
#if defined(__GLIBC__)
inline constexpr bool is_glibc = true;
#else
inline constexpr bool is_glibc = false;
#endif
inline constexpr bool has_back_links = is_64_bit || !is_glibc;

inline constexpr liveness_kind this_libc_kind =
    is_64_bit ? (is_glibc ? liveness_kind::at_4072 : liveness_kind::at_4076)
              : (is_glibc ? liveness_kind::at_4076 : liveness_kind::at_4088);
inline constexpr long this_libc_futex_offset =
    is_64_bit ? (is_glibc ? -32 : -28) : (is_glibc ? -20 : -12);

// The private page's first bytes.
struct private_links {
  void* words[2];
};

inline robust_list* node_of(private_links* links) noexcept {
  return reinterpret_cast<robust_list*>(&links->words[has_back_links ? 1 : 0]);
}

// Bit 0 of an entry says PI.
inline robust_list* without_pi_bit(robust_list* entry) noexcept {
  return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(entry) &
                                        ~std::uintptr_t{1});
}

inline void** back_link(robust_list* entry) noexcept {
  return reinterpret_cast<void**>(without_pi_bit(entry)) - 1;
}

// Puts the node in front. Signals are blocked and the libc is not in the middle of
// anything (list_op_pending is empty), so that nobody else changes the list.
inline void link_node(robust_list_head* head, robust_list* node) noexcept {
  robust_list* first = head->list.next;
  node->next = first;
  if constexpr (has_back_links) {
    *back_link(node) = &head->list;
    if (without_pi_bit(first) != &head->list) *back_link(first) = node;
  }
  // death order: the node's links are whole before the kernel can reach it; its word
  // holds a token, which the kernel leaves alone.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  head->list.next = node;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

inline void unlink_node(robust_list_head* head, robust_list* node) noexcept {
  robust_list* next = node->next;
  if constexpr (has_back_links) {
    void* link = *back_link(node);
    without_pi_bit(static_cast<robust_list*>(link))->next = next;
    if (without_pi_bit(next) != &head->list) *back_link(next) = link;
  } else {
    for (robust_list* entry = &head->list;;) {
      robust_list* follower = without_pi_bit(entry->next);
      if (follower == node) {
        entry->next = next;
        break;
      }
      if (follower == &head->list) break; // not there
      entry = follower;
    }
  }
  // death order: off the list before its word is anything but a token.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

} // namespace deadbolt::regions
#endif
