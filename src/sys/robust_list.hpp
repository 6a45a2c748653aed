// SPDX-License-Identifier: MIT
// The robust list heads that threads have registered with the kernel.
#ifndef DEADBOLT_SYS_ROBUST_LIST_HPP
#define DEADBOLT_SYS_ROBUST_LIST_HPP

#include <cstddef>
#include <linux/futex.h>
#include <raw_syscall.hpp>
#include <sys/syscall.h>
#include <sys/types.h>

namespace deadbolt::sys {

// The head of thread `tid` of this process (0: the caller), nullptr when it has
// registered none or cannot be looked at.
inline robust_list_head* registered_robust_list(pid_t tid) noexcept {
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  if (arch::raw_syscall(SYS_get_robust_list, tid, &head, &size) != 0) return nullptr;
  return head;
}

} // namespace deadbolt::sys
#endif
