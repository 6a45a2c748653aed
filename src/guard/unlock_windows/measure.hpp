// SPDX-License-Identifier: MIT
// Finds the windows of a libc by running it.
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_MEASURE_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_MEASURE_HPP

#include "guard/unlock_windows/table.hpp"

#include <optional>
#include <string>
#include <vector>

namespace deadbolt::guard {

struct measurement {
  window_table table;
  std::vector<std::string> notes;
};

// path: of glibc's libc.so.6 (2.34 or newer) or of musl's, for this architecture. The libc runs in
// a sandbox, without privilege even if the caller is root, from copies in memory that no other
// process can change. Takes some tenths of a second. Nothing, and the reason in `error`, if it
// cannot be measured.
[[nodiscard]] std::optional<measurement> measure_windows(const std::string& path,
                                                         std::string& error);

} // namespace deadbolt::guard
#endif
