// SPDX-License-Identifier: MIT
// Waits for a condition that must become true soon, and ends the process if it does not.
#ifndef DEADBOLT_TESTS_WATCHDOG_HPP
#define DEADBOLT_TESTS_WATCHDOG_HPP

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sched.h>

namespace deadbolt::testing {

// Long, because a busy machine must not fail a test.
inline constexpr std::chrono::seconds patience{200};

// Calls done() until it returns true; aborts if that takes too long.
template <class Done>
void await(const char* what, Done&& done) {
  const auto start = std::chrono::steady_clock::now();
  while (!done()) {
    if (std::chrono::steady_clock::now() - start > patience) {
      std::fprintf(stderr, "watchdog: waited in vain for %s\n", what);
      std::abort();
    }
    sched_yield();
  }
}

} // namespace deadbolt::testing
#endif
