// SPDX-License-Identifier: MIT
#include "guard/ptrace/namespace_tid.hpp"

#include "guard/proc_status.hpp"

#include <unistd.h>

namespace deadbolt::guard {

pid_t namespace_tid(pid_t tid) noexcept {
  const proc_status status = proc_status::of(tid);
  // Another namespace's /proc would answer about another thread: one that we are
  // not the tracer of.
  if (status.last_number("TracerPid:").value_or(0) != ::getpid()) return tid;
  return static_cast<pid_t>(status.last_number("NSpid:").value_or(tid));
}

} // namespace deadbolt::guard
