// SPDX-License-Identifier: MIT
#include "mutant_guard.hpp"

#include "crash/failure.hpp"

#include <cstddef>
#include <linux/futex.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

void clear_pending(pid_t tid) {
  robust_list_head* head = nullptr;
  std::size_t length = 0;
  if (syscall(SYS_get_robust_list, tid, &head, &length) != 0) fail_with_errno("get_robust_list");
  if (ptrace(PTRACE_POKEDATA, tid, &head->list_op_pending, nullptr) != 0)
    fail_with_errno("clear of list_op_pending");
}

} // namespace

void half_guard::at_exit(pid_t tid, int status) const {
  real_.at_exit(tid, status);
}

void half_guard::at_signal(pid_t tid, int status) const {
  if (!sees_deaths_) real_.at_signal(tid, status);
}

void eager_guard::at_exit(pid_t tid, int /*status*/) const {
  clear_pending(tid);
}
void eager_guard::at_signal(pid_t tid, int /*status*/) const {
  clear_pending(tid);
}

} // namespace deadbolt::crash
