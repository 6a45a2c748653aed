// SPDX-License-Identifier: MIT
// The library's status, its environment variables and its messages.
#ifndef DEADBOLT_PRELOAD_REPORT_HPP
#define DEADBOLT_PRELOAD_REPORT_HPP

#include "preload/status.hpp"

namespace deadbolt::preload {

// What the environment variables say.
struct preload_options {
  const char* engine = nullptr; // DEADBOLT_ENGINE
  // DEADBOLT_PRELOAD: a list of words, separated by commas.
  bool verbose = false;
  bool interpose_only = false;
};
// `environment` as the loader hands it to constructors: getenv() does not work before the
// libc's own. Ignored in a program with more privilege than its caller (set-user-ID).
[[nodiscard]] preload_options read_options(char** environment) noexcept;

// Adds to the status why the level is not hook, or the engine not the kernel's best.
void add_reason(const char* text) noexcept;
// Completes the status. If `verbose` is set, also prints it as one line on stderr.
void report(level reached, bool verbose) noexcept;

} // namespace deadbolt::preload
#endif
