// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_TESTS_STORM_SHORT_STORM_HPP
#define DEADBOLT_TESTS_STORM_SHORT_STORM_HPP

#include "storm.hpp"

#include <cstdio>
#include <random>

namespace deadbolt::storm {

// Options of a short storm with a fresh seed, which this function prints.
inline options short_storm(double seconds) {
  options made;
  made.seed = std::random_device{}();
  made.time = std::chrono::duration<double>(seconds);
  std::printf("seed %llu\n", static_cast<unsigned long long>(made.seed));
  std::fflush(stdout);
  return made;
}

} // namespace deadbolt::storm
#endif
