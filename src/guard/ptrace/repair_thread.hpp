// SPDX-License-Identifier: MIT
// Applies the repair rule to one stopped thread.
#ifndef DEADBOLT_GUARD_PTRACE_REPAIR_THREAD_HPP
#define DEADBOLT_GUARD_PTRACE_REPAIR_THREAD_HPP

#include "guard/repair_rule.h"
#include "guard/unlock_windows/table.hpp"
#include "trace/thread.hpp"

#include <cstdint>
#include <state_of.hpp>
#include <sys/types.h>

namespace deadbolt::guard {

enum class repair_outcome : std::uint8_t {
  not_needed,      // not in a window, or the word is still owned
  nothing_pending, // in a window, but the slot is already clear
  cleared,         // 0 was written to list_op_pending
  left_to_kernel,  // a wake is owed: the entry stays, the exit walk wakes
  no_robust_list,  // in a window, but the thread has no 64-bit robust list
  refused,         // the kernel refused a read or the write: see error
  thread_gone,     // SIGKILL ended the stop
};
[[nodiscard]] const char* to_string(repair_outcome outcome) noexcept;

struct repair_report {
  repair_outcome outcome = repair_outcome::not_needed;
  pid_t tid = 0;
  int error = 0; // errno value of refused and thread_gone
  trace::address ip;
  trace::address slot;     // the address of list_op_pending; 0 if it was not needed
  std::uint64_t entry = 0; // the slot's value
  trace::address word;     // the lock word that the entry names
};

// For a thread stopped in PTRACE_EVENT_EXIT or in a signal-delivery-stop, before it is resumed. The
// kernel has not walked its robust list, its registers are those of the interruption, and no signal
// frame has been pushed. Critical sections describe their windows themselves; libcs: the windows of
// libcs that are repaired besides.
[[nodiscard]] repair_report repair_thread(trace::traced_thread thread,
                                          const window_set& libcs) noexcept;
[[nodiscard]] repair_report repair_thread(pid_t tid, const window_set& libcs = {}) noexcept;

// The id of a thread, traced by the calling process, in the thread's own PID namespace: the number
// that its lock words hold and that the kernel's exit walk compares with them. Without a /proc of
// the caller's namespace the result is `tid`, which is right if the two share a namespace.
[[nodiscard]] pid_t namespace_tid(pid_t tid) noexcept;

} // namespace deadbolt::guard
#endif
