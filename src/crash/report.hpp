// SPDX-License-Identifier: MIT
// crash-test's results for people and for programs.
#ifndef DEADBOLT_CRASH_REPORT_HPP
#define DEADBOLT_CRASH_REPORT_HPP

#include "crash/campaign.hpp"
#include "crash/demonstration.hpp"

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

namespace deadbolt::crash {

struct text_style {
  bool colours = false;
  unsigned columns = 80;
};

// The bytes of the file before and after, for each demonstration.
[[nodiscard]] std::string text_of(std::span<const demonstration> shown, const text_style& style);

// One line for each kind of lock and protection, with the totals of its scenarios. Rows that are
// not clean follow with an example of what was found in each.
[[nodiscard]] std::string summary_of(std::span<const row> rows, const text_style& style);

// Every row; with every finding, or with an example for each row that is not clean.
[[nodiscard]] std::string table_of(std::span<const row> rows, bool all_findings,
                                   bool colours = false);
[[nodiscard]] nlohmann::ordered_json json_of(std::span<const row> rows);

// No row is unclean.
[[nodiscard]] bool all_clean(std::span<const row> rows);

} // namespace deadbolt::crash
#endif
