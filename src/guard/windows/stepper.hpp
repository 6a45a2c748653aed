// SPDX-License-Identifier: MIT
// Steps the probe through lock operations of a libc and notes where its windows are.
#ifndef DEADBOLT_GUARD_WINDOWS_STEPPER_HPP
#define DEADBOLT_GUARD_WINDOWS_STEPPER_HPP

#include "guard/windows/elf_file.hpp"
#include "guard/windows/window_table.hpp"

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
  // One line each: how long an operation was and how many windows it has; what was
  // left out and why.
  std::vector<std::string> notes;
  std::string error; // empty: it worked
};

// Called by a process without privilege (see become_nobody()) that has one thread.
[[nodiscard]] stepped step_through_libc(const probe_files& files, const elf_file& libc);

} // namespace deadbolt::guard
#endif
