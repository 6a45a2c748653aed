// SPDX-License-Identifier: MIT
// crash-test's results for people and for programs.
#ifndef DEADBOLT_CRASH_REPORT_HPP
#define DEADBOLT_CRASH_REPORT_HPP

#include "crash/campaign.hpp"

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

namespace deadbolt::crash {

struct table_style {
  bool colours = false;
  bool findings = false; // every finding, and not one example a row that is not clean
};

[[nodiscard]] std::string table_of(std::span<const row> rows, const table_style& style);
[[nodiscard]] nlohmann::ordered_json json_of(std::span<const row> rows);

// No row is unclean.
[[nodiscard]] bool all_clean(std::span<const row> rows);

} // namespace deadbolt::crash
#endif
