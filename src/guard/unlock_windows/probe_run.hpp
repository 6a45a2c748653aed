// SPDX-License-Identifier: MIT
// Runs the probe with a libc, steps it through that libc's lock operations, and notes the unlock
// windows.
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_PROBE_RUN_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_PROBE_RUN_HPP

#include "guard/unlock_windows/elf_file.hpp"
#include "guard/unlock_windows/table.hpp"

#include <string>
#include <vector>

namespace deadbolt::guard {

// Descriptors of executable copies, all open in the calling process.
struct probe_files {
  int probe = -1;
  int libc = -1;
  int loader = -1; // -1: the libc is its own
};

// The name that /proc/PID/maps shows for the copy of the libc.
inline constexpr const char* libc_copy_name = "deadbolt-libc";

struct stepped {
  window_table table;
  // One line each: how long an operation was and how many windows it has; which instruction was
  // left out, and why.
  std::vector<std::string> notes;
  std::string error; // empty: it worked
};

// Called by a process without privilege (see become_nobody()) that has one thread.
[[nodiscard]] stepped step_through_libc(const probe_files& files, const elf_file& libc);

} // namespace deadbolt::guard
#endif
