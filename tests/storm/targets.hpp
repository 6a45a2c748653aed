// SPDX-License-Identifier: MIT
// What storms are run on: crash-test's kinds of lock, and semaphores for several.
#ifndef DEADBOLT_TESTS_STORM_TARGETS_HPP
#define DEADBOLT_TESTS_STORM_TARGETS_HPP

#include "crash/subject.hpp"

#include <cstdint>
#include <vector>

namespace deadbolt::storm {

struct target {
  const crash::subject* subject;
  std::uint32_t permits;
};

// Also those that are not ours.
[[nodiscard]] std::vector<target> all_targets();

} // namespace deadbolt::storm
#endif
