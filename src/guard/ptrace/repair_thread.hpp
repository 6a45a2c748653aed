// SPDX-License-Identifier: MIT
// Applies the repair rule to one stopped thread.
#ifndef DEADBOLT_GUARD_PTRACE_REPAIR_THREAD_HPP
#define DEADBOLT_GUARD_PTRACE_REPAIR_THREAD_HPP

#include "guard/ptrace/tracee.hpp"
#include "guard/ptrace/tracee_address.hpp"
#include "guard/windows/window_set.hpp"

#include <cstdint>
#include <sys/types.h>

namespace deadbolt::guard {

enum class repair_outcome : std::uint8_t {
  not_needed,      // not in a window, or the word is still owned
  nothing_pending, // in a window, but the slot is already clear
  cleared,         // 0 was written to list_op_pending
  left_to_kernel,  // a wake is owed: the entry stays, the exit walk wakes
  no_robust_list,  // in a window without a 64-bit robust list: no one's slot
  refused,         // the kernel does not let us read or write it: see error
  thread_gone,     // not stopped any more: SIGKILL was quicker
};
[[nodiscard]] const char* to_string(repair_outcome outcome) noexcept;

struct repair_report {
  repair_outcome outcome = repair_outcome::not_needed;
  pid_t tid = 0;
  int error = 0; // errno value of refused and thread_gone
  tracee_address ip;
  tracee_address slot;     // where list_op_pending is; 0 if it was not looked for
  std::uint64_t entry = 0; // what it held
  tracee_address word;     // the lock word that the entry names
};

// For a thread stopped in PTRACE_EVENT_EXIT or in a signal-delivery-stop, before
// it is resumed. Its robust list has then not been walked yet, its registers are
// those of the interruption, and no signal frame has been pushed.
// Knows the blocks that describe themselves, and the windows of libcs that it is given.
[[nodiscard]] repair_report repair_thread(tracee thread, const window_set& libcs) noexcept;
[[nodiscard]] repair_report repair_thread(pid_t tid, const window_set& libcs = {}) noexcept;

} // namespace deadbolt::guard
#endif
