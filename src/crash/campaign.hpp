// SPDX-License-Identifier: MIT
// A whole run of crash-test.
#ifndef DEADBOLT_CRASH_CAMPAIGN_HPP
#define DEADBOLT_CRASH_CAMPAIGN_HPP

#include "crash/row.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace deadbolt::crash {

struct campaign_plan {
  std::vector<const subject*> subjects;
  std::vector<const scenario*> scenarios;
  std::vector<const guard_driver*> guards;
  // Also what is protected by itself is attacked under a guard.
  bool guards_the_protected = true;
  unsigned workers = 0; // 0: as many as suit this machine
  unsigned watchdog_seconds = 60;
  unsigned stride = 1; // kill at one instruction in so many, the first and the last among them
  // Kill points done, and how many there are; called after each.
  std::function<void(std::size_t, std::size_t)> on_progress{};
};

// A row for each subject, guard and scenario, in that order.
[[nodiscard]] std::vector<row> run_campaign(const campaign_plan& plan);

} // namespace deadbolt::crash
#endif
