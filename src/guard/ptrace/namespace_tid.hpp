// SPDX-License-Identifier: MIT
// A thread's id in its own PID namespace: the number its lock words hold and the
// kernel's exit walk compares them with.
#ifndef DEADBOLT_GUARD_PTRACE_NAMESPACE_TID_HPP
#define DEADBOLT_GUARD_PTRACE_NAMESPACE_TID_HPP

#include <sys/types.h>

namespace deadbolt::guard {

// For a tracee of the calling process. Without a /proc of our own namespace there
// is nobody to ask, and tid is the answer: right wherever the two share one.
[[nodiscard]] pid_t namespace_tid(pid_t tid) noexcept;

} // namespace deadbolt::guard
#endif
