// SPDX-License-Identifier: MIT
// The library's status, its environment variables and its messages.
#ifndef DEADBOLT_PRELOAD_REPORT_HPP
#define DEADBOLT_PRELOAD_REPORT_HPP

#include "preload/status.hpp"

namespace deadbolt::preload {

// What the environment asks for.
struct wishes {
  const char* engine = nullptr; // DEADBOLT_ENGINE
  // DEADBOLT_PRELOAD: words between commas.
  bool verbose = false;
  bool interpose_only = false;
};
// `environment` as the loader hands it to constructors: getenv() does not work before the
// libc's own. Nothing in a program with more privilege than its caller.
[[nodiscard]] wishes read_wishes(char** environment) noexcept;

// Adds a reason to the status.
void add_reason(const char* text) noexcept;
// Completes the status, and prints it as one line on stderr if that is wished for.
void report(level reached, bool verbose) noexcept;

} // namespace deadbolt::preload
#endif
