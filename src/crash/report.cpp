// SPDX-License-Identifier: MIT
#include "crash/report.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace deadbolt::crash {
namespace {

constexpr const char* line_format =
    "{:<23} {:<16} {:<7} {:<14}{:>7}{:>12}{:>8}{:>11}{:>6}{:>10}  {}\n";

std::string verdict_of(const row& row) {
  switch (row.judge()) {
  case standing::clean:
    return !is_limited(*row.attack, *row.target) ? "clean" : "clean (kernel limit)";
  case standing::unclean:
    return "NOT CLEAN";
  case standing::comparison:
    break;
  }
  if (!row.target->ours()) {
    const bool is_well = row.count(outcome::corrupted) + row.count(outcome::lost) +
                             row.count(outcome::stranded) + row.not_judged ==
                         0;
    return row.is_protected() && is_well ? "clean, not ours" : "for comparison";
  }
  return "unprotected";
}

std::string_view colour_of(const row& row) {
  switch (row.judge()) {
  case standing::clean:
    return "\x1b[32m";
  case standing::unclean:
    return "\x1b[1;31m";
  case standing::comparison:
    break;
  }
  return row.count(outcome::corrupted) + row.count(outcome::lost) + row.count(outcome::stranded) !=
                 0
             ? "\x1b[33m"
             : "";
}

void add_findings(std::string& to, const row& row, bool all) {
  std::size_t shown = 0;
  for (const finding& finding : row.findings) {
    if (!all && shown == 1) {
      fmt::format_to(std::back_inserter(to), "    and {} more (--verbose)\n",
                     row.findings.size() - 1);
      return;
    }
    const std::string where =
        finding.kill_at ? fmt::format("{} + {} instructions", finding.operation, *finding.kill_at)
                        : finding.operation + ", in its first run";
    fmt::format_to(std::back_inserter(to), "    {}: {}{}{}: {}\n", finding.result, where,
                   finding.place.empty() ? "" : ", ", finding.place, finding.text);
    ++shown;
  }
}

std::string summary_of(std::span<const row> rows) {
  const auto number = [rows](standing standing) {
    return std::count_if(rows.begin(), rows.end(),
                         [standing](const row& row) { return row.judge() == standing; });
  };
  const auto clean = number(standing::clean);
  const auto unclean = number(standing::unclean);
  if (clean + unclean == 0) return "No protected row of ours in this run.\n";
  if (unclean == 0) return fmt::format("All {} protected rows of ours are clean.\n", clean);
  return fmt::format("{} of {} protected rows of ours are NOT CLEAN.\n", unclean, clean + unclean);
}

} // namespace

std::string table_of(std::span<const row> rows, const table_style& style) {
  std::string text = fmt::format(line_format, "subject", "scenario", "guard", "engine", "points",
                                 "owner died", "intact", "corrupted", "lost", "stranded", "");
  for (const row& row : rows) {
    const std::string_view colour = style.colours ? colour_of(row) : std::string_view{};
    text += colour;
    fmt::format_to(std::back_inserter(text), line_format, row.target->name(), row.attack->name(),
                   row.guard->name(), row.target->engine(), row.kill_points(),
                   row.count(outcome::owner_died), row.count(outcome::intact),
                   row.count(outcome::corrupted), row.count(outcome::lost),
                   row.count(outcome::stranded), verdict_of(row));
    if (!colour.empty()) text += "\x1b[0m";
    if (row.not_judged != 0)
      fmt::format_to(std::back_inserter(text), "    {} kill points could not be judged\n",
                     row.not_judged);
    if (style.findings || row.judge() == standing::unclean || row.not_judged != 0)
      add_findings(text, row, style.findings);
  }
  const bool limited = std::any_of(rows.begin(), rows.end(), [](const row& row) {
    return is_limited(*row.attack, *row.target);
  });
  if (limited) {
    const auto found = std::find_if(rows.begin(), rows.end(), [](const row& row) {
      return is_limited(*row.attack, *row.target);
    });
    fmt::format_to(std::back_inserter(text), "\nkernel limit, {}: {}.\n", found->attack->name(),
                   found->attack->kernel_limit());
  }
  return text + "\n" + summary_of(rows);
}

nlohmann::ordered_json json_of(std::span<const row> rows) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const row& row : rows) {
    nlohmann::ordered_json findings = nlohmann::ordered_json::array();
    for (const finding& finding : row.findings) {
      findings.push_back({{"operation", finding.operation},
                          {"kill_at", finding.kill_at ? nlohmann::ordered_json(*finding.kill_at)
                                                      : nlohmann::ordered_json()},
                          {"place", finding.place},
                          {"result", finding.result},
                          {"finding", finding.text}});
    }
    nlohmann::ordered_json entry{
        {"subject", row.target->name()},        {"scenario", row.attack->name()},
        {"guard", row.guard->name()},           {"engine", row.target->engine()},
        {"kill_points", row.kill_points()},     {"owner_died", row.count(outcome::owner_died)},
        {"intact", row.count(outcome::intact)}, {"corrupted", row.count(outcome::corrupted)},
        {"lost", row.count(outcome::lost)},     {"stranded", row.count(outcome::stranded)},
        {"not_judged", row.not_judged},         {"family", row.attack->family()},
        {"protected", row.is_protected()},      {"decides", row.judge() != standing::comparison}};
    if (is_limited(*row.attack, *row.target)) entry["kernel_limit"] = row.attack->kernel_limit();
    if (!findings.empty()) entry["findings"] = std::move(findings);
    results.push_back(std::move(entry));
  }
  return {{"results", std::move(results)}};
}

bool all_clean(std::span<const row> rows) {
  return std::none_of(rows.begin(), rows.end(),
                      [](const row& row) { return row.judge() == standing::unclean; });
}

} // namespace deadbolt::crash
