// SPDX-License-Identifier: MIT
// What crash-test knows: a new subject, scenario or guard gets one line in catalogue.cpp.
#ifndef DEADBOLT_CRASH_CATALOGUE_HPP
#define DEADBOLT_CRASH_CATALOGUE_HPP

#include "crash/guard_driver.hpp"
#include "crash/scenario.hpp"
#include "crash/subject.hpp"

#include <span>

namespace deadbolt::crash {

// In the order of the table.
[[nodiscard]] std::span<const subject* const> all_subjects();
[[nodiscard]] std::span<const scenario* const> all_scenarios();
[[nodiscard]] std::span<const guard_driver* const> all_guards();

} // namespace deadbolt::crash
#endif
