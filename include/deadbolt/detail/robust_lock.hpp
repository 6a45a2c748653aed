// SPDX-License-Identifier: MIT
// What robust_mutex and robust_pi_mutex have in common.
#ifndef DEADBOLT_DETAIL_ROBUST_LOCK_HPP
#define DEADBOLT_DETAIL_ROBUST_LOCK_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/robust_node.h>

#include <cstdint>
#include <sys/types.h>

namespace deadbolt::inline DEADBOLT_ABI::detail {

class [[gnu::visibility("default")]] robust_lock {
public:
  robust_lock(const robust_lock&) = delete;
  robust_lock& operator=(const robust_lock&) = delete;

  // Declares the data whole again after owner_died. Does nothing and returns false
  // unless the caller holds the mutex and was told owner_died.
  bool mark_consistent() noexcept;

  // The owner's TID in this PID namespace; 0 while the mutex is free. For diagnosis: it may
  // have changed when the caller reads it.
  [[nodiscard]] pid_t owner() const noexcept;

  // The lock word's address, for messages and tools.
  [[nodiscard]] const std::uint32_t* native_handle() const noexcept {
    return &node_.word;
  }

protected:
  constexpr robust_lock() noexcept = default;
  ~robust_lock() = default;

  deadbolt_robust_node node_ = DEADBOLT_ROBUST_NODE_INIT;
};

} // namespace deadbolt::inline DEADBOLT_ABI::detail
#endif
