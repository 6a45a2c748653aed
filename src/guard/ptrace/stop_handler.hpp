// SPDX-License-Identifier: MIT
// What a guard does at each stop of each of its tracees. It does not wait for tracees and does not
// resume them, so that another tracer (crash-test, which steps its victims) can call it from its
// own loop:
//
//   stop_handler guard;
//   const trace::stop_event event = trace::classify_stop(tid, status);
//   const resumption how = guard.handle(event);
//   resume(how);
#ifndef DEADBOLT_GUARD_PTRACE_STOP_HANDLER_HPP
#define DEADBOLT_GUARD_PTRACE_STOP_HANDLER_HPP

#include "guard/repair_rule.h"
#include "guard/unlock_windows/table.hpp"
#include "trace/thread.hpp"

#include <cstdint>
#include <state_of.hpp>
#include <sys/types.h>

namespace deadbolt::guard {

// ---- one stopped thread ----

enum class repair_outcome : std::uint8_t {
  not_needed,      // not in a window, or the word is still owned, or the exchange was
                   // of another word
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
  trace::address slot;     // the address of list_op_pending; 0 if it was not looked up
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

// ---- the stops of all tracees ----

struct guard_counts {
  std::uint64_t threads = 0; // ended
  std::uint64_t signals = 0; // delivered
  std::uint64_t repaired_at_exit = 0;
  std::uint64_t repaired_at_signal = 0;
  std::uint64_t left_to_kernel = 0;
  std::uint64_t refused = 0;
};

struct resumption {
  enum class way : std::uint8_t { nothing, run, listen };
  pid_t tid = 0;
  way how = way::nothing;
  int signal = 0; // delivered on the way
};

class stop_handler {
public:
  // Without libcs only critical sections, which describe themselves, are repaired. `libcs` is used,
  // not copied.
  stop_handler() noexcept = default;
  explicit stop_handler(const window_set& libcs) noexcept : libcs_(&libcs) {}

  // Repairs the thread at a stop after which that would be too late, and returns how to resume it.
  resumption handle(const trace::stop_event& event) noexcept;

  [[nodiscard]] const guard_counts& counts() const noexcept { return counts_; }
  // What the last handle() did to the thread; not_needed at stops that need no repair.
  [[nodiscard]] const repair_report& last_repair() const noexcept { return last_repair_; }

private:
  void repair(pid_t tid, std::uint64_t& repaired) noexcept;
  const window_set* libcs_ = nullptr;
  guard_counts counts_;
  repair_report last_repair_;
};

// The stops that the guard needs. PTRACE_O_EXITKILL is left out: when the guard is killed, its
// tracees go on.
[[nodiscard]] unsigned long guard_options() noexcept;

// 0 or an errno value. ESRCH is no error: SIGKILL ended the stop.
int resume(const resumption& how) noexcept;

} // namespace deadbolt::guard
#endif
