// SPDX-License-Identifier: MIT
#include <robust/robust_lock.hpp>

#include <base/message.hpp>
#include <deadbolt/detail/robust_lock.hpp>

namespace deadbolt {

bool detail::robust_lock::mark_consistent() noexcept {
  using namespace robust;
  if (!is_owned_by(__atomic_load_n(&node_.word, __ATOMIC_RELAXED), this_thread(&node_)) ||
      node_.state != inconsistent) {
    return false;
  }
  node_.state = consistent;
  return true;
}

pid_t detail::robust_lock::owner() const noexcept {
  return static_cast<pid_t>(__atomic_load_n(&node_.word, __ATOMIC_RELAXED) & FUTEX_TID_MASK);
}

void robust::abort_misplaced(const void* address) noexcept {
  base::message{}
      .text("a mutex cannot be at ")
      .pointer(address)
      .text(address == nullptr ? ": the pointer is null" : ": it must be aligned to 8 bytes")
      .abort();
}

void robust::abort_futex(const char* call, const std::uint32_t* word, long error) noexcept {
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

} // namespace deadbolt
