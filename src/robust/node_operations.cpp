// SPDX-License-Identifier: MIT
#include <robust/node_operations.hpp>

#include <base/message.hpp>

namespace deadbolt::robust {

bool mark_consistent(robust_node& node) noexcept {
  if (!is_owned_by(__atomic_load_n(&node.word, __ATOMIC_RELAXED), this_thread(&node)) ||
      node.state != inconsistent) {
    return false;
  }
  node.state = consistent;
  return true;
}

void abort_misplaced(const void* address) noexcept {
  base::message{}
      .text("a mutex cannot be at ")
      .pointer(address)
      .text(address == nullptr ? ": the pointer is null" : ": it must be aligned to 8 bytes")
      .abort();
}

void abort_futex(const char* call, const std::uint32_t* word, long error) noexcept {
  base::message{}
      .text(call)
      .text(" on the lock word at ")
      .pointer(word)
      .text(" (value ")
      .hex(__atomic_load_n(word, __ATOMIC_RELAXED))
      .text(") failed with errno ")
      .number(-error)
      .abort();
}

} // namespace deadbolt::robust
