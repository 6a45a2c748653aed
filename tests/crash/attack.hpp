// SPDX-License-Identifier: MIT
// Runs one row of crash-test from a test.
#ifndef DEADBOLT_TESTS_CRASH_ATTACK_HPP
#define DEADBOLT_TESTS_CRASH_ATTACK_HPP

#include "crash/campaign.hpp"
#include "crash/locks.hpp"
#include "crash/report.hpp"

#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace deadbolt::crash {

template <class Thing>
const Thing& by_name(std::span<const Thing* const> all, std::string_view name) {
  for (const Thing* const thing : all)
    if (thing->name() == name) return *thing;
  throw std::invalid_argument{"nothing is called " + std::string{name}};
}

inline const subject& subject_named(std::string_view name) {
  return by_name(all_subjects(), name);
}
inline const scenario& scenario_named(std::string_view name) {
  return by_name(all_scenarios(), name);
}
inline const guard_driver& guard_named(std::string_view name) {
  return by_name(all_guards(), name);
}

inline std::vector<std::string_view> scenario_names() {
  std::vector<std::string_view> names;
  for (const scenario* const scenario : all_scenarios())
    if (!scenario->by_name_only()) names.push_back(scenario->name());
  return names;
}

inline row attack(const subject& target, std::string_view scenario, const guard_driver& guard,
                  unsigned watchdog_seconds = 300, unsigned stride = 1) {
  return run_campaign({.subjects = {&target},
                       .scenarios = {&scenario_named(scenario)},
                       .guards = {&guard},
                       .watchdog_seconds = watchdog_seconds,
                       .stride = stride})
      .front();
}

inline std::string describe(const row& row) {
  return "\n" + table_of({&row, 1}, true);
}

} // namespace deadbolt::crash
#endif
