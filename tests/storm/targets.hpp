// SPDX-License-Identifier: MIT
// The locks that storms attack: crash-test's kinds of lock, and semaphores with several permits.
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

// Includes other libraries' locks.
[[nodiscard]] std::vector<target> all_targets();

} // namespace deadbolt::storm
#endif
