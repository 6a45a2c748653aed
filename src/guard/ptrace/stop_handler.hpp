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

#include "guard/ptrace/repair_thread.hpp"

#include <cstdint>
#include <sys/types.h>

namespace deadbolt::guard {

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
