// SPDX-License-Identifier: MIT
// The robust list heads that threads have registered with the kernel.
#ifndef DEADBOLT_BASE_ROBUST_LIST_HPP
#define DEADBOLT_BASE_ROBUST_LIST_HPP

#include <cstddef>
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

} // namespace deadbolt::base
#endif
