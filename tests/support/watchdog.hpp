// SPDX-License-Identifier: MIT
// Waits for a condition that must become true soon, and ends the process if it does not.
#ifndef DEADBOLT_TESTS_WATCHDOG_HPP
#define DEADBOLT_TESTS_WATCHDOG_HPP

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sched.h>

namespace deadbolt::testing {

// Long, because a busy machine must not fail a test.
inline constexpr std::chrono::seconds patience{200};

// Calls done() until it returns true; aborts if that takes too long. Sleeps after a while: on a
// busy machine the awaited thread needs the processor.
template <class Done>
void await(const char* what, Done&& done) {
  const auto start = std::chrono::steady_clock::now();
  for (int looks = 0; !done(); ++looks) {
    if (std::chrono::steady_clock::now() - start > patience) {
      std::fprintf(stderr, "watchdog: waited in vain for %s\n", what);
      std::abort();
    }
    if (looks < 64) {
      sched_yield();
    } else {
      const timespec moment{.tv_sec = 0, .tv_nsec = 100'000};
      nanosleep(&moment, nullptr);
    }
  }
}

} // namespace deadbolt::testing
#endif
