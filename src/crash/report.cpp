// SPDX-License-Identifier: MIT
#include "crash/report.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace deadbolt::crash {
namespace {

constexpr const char* table_line =
    "{:<24} {:<16} {:<7} {:<14}{:>7}{:>12}{:>8}{:>11}{:>6}{:>10}  {}\n";

// Whether a kernel limit excuses what this row, which counts as clean, lost or left stranded.
bool shows_limit(const row& row) {
  return row.judge() == standing::clean && is_limited(*row.attack, *row.target) &&
         row.count(outcome::lost) + row.count(outcome::stranded) != 0;
}

std::string verdict_of(const row& row) {
  switch (row.judge()) {
  case standing::clean:
    return shows_limit(row) ? "clean (kernel limit)" : "clean";
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

constexpr std::string_view green = "\x1b[32m";
constexpr std::string_view yellow = "\x1b[33m";
constexpr std::string_view red = "\x1b[1;31m";

std::string_view colour_of(const row& row) {
  switch (row.judge()) {
  case standing::clean:
    return green;
  case standing::unclean:
    return red;
  case standing::comparison:
    break;
  }
  return row.count(outcome::corrupted) + row.count(outcome::lost) + row.count(outcome::stranded) !=
                 0
             ? yellow
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

std::string closing_line(std::span<const row> rows) {
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

// The kernel limits that the rows show, each scenario's once; empty if there is none.
std::string limit_text(std::span<const row> rows) {
  std::vector<const scenario*> told;
  std::string text;
  for (const row& row : rows) {
    if (!shows_limit(row) || std::find(told.begin(), told.end(), row.attack) != told.end())
      continue;
    told.push_back(row.attack);
    fmt::format_to(std::back_inserter(text), "{}kernel limit, {}: {}.", text.empty() ? "" : " ",
                   row.attack->name(), row.attack->kernel_limit());
  }
  return text;
}

// What protects a row's lock from the unlock window.
std::string protection_of(const row& row) {
  if (row.guard->protects())
    return row.guard->name() == "bpf" ? "BPF guard" : fmt::format("{} guard", row.guard->name());
  if (!row.target->protected_by_itself()) return "none";
  return row.target->engine() == "region" ? "region" : "kernel";
}

// The totals of one kind of lock under one protection.
struct totals {
  const row* first;
  std::string protection;
  std::uint32_t kill_points = 0;
  std::array<std::uint32_t, outcomes> counts{};
  bool is_clean = true;
  bool decides = false;   // at least one of the rows decides the exit status
  bool has_limit = false; // a kernel limit excuses what was found

  [[nodiscard]] std::uint32_t count(outcome of) const noexcept {
    return counts[static_cast<std::size_t>(of)];
  }
  [[nodiscard]] std::string_view verdict() const noexcept {
    if (!decides) return "";
    if (!is_clean) return "NOT CLEAN";
    return has_limit ? "clean*" : "clean";
  }
  [[nodiscard]] std::string_view colour() const noexcept {
    if (decides) return is_clean ? green : red;
    return count(outcome::corrupted) + count(outcome::lost) + count(outcome::stranded) != 0 ? yellow
                                                                                            : "";
  }
};

std::vector<totals> add_up(std::span<const row> rows) {
  std::vector<totals> all;
  for (const row& row : rows) {
    if (all.empty() || all.back().first->target != row.target ||
        all.back().first->guard != row.guard)
      all.push_back({.first = &row, .protection = protection_of(row)});
    totals& to = all.back();
    to.kill_points += row.kill_points();
    for (std::size_t i = 0; i < outcomes; ++i) to.counts[i] += row.counts[i];
    to.is_clean = to.is_clean && row.judge() != standing::unclean;
    to.decides = to.decides || row.judge() != standing::comparison;
    to.has_limit = to.has_limit || shows_limit(row);
  }
  return all;
}

std::string in_colour(std::string text, std::string_view colour, const text_style& style) {
  if (!style.colours || colour.empty()) return text;
  return fmt::format("{}{}\x1b[0m", colour, text);
}

std::string fold(std::string_view text, unsigned columns) {
  std::string folded;
  std::size_t length = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (length != 0 && length + 1 + end > columns) {
      folded += '\n';
      length = 0;
    } else if (length != 0) {
      folded += ' ';
      ++length;
    }
    folded += text.substr(0, end);
    length += end;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return folded + '\n';
}

// Below this width the summary and the bytes have a narrow form.
constexpr unsigned full_width = 79;

std::string dump(std::string_view label, const shown_bytes& bytes, const text_style& style) {
  const bool full = style.columns >= full_width;
  std::string line = fmt::format("  {:<7}", label);
  for (std::size_t i = 0; i < (full ? bytes.size() : bytes.size() / 2); ++i)
    fmt::format_to(std::back_inserter(line), " {:02x}", bytes[i]);
  if (full) {
    line += "  ";
    for (const unsigned char byte : bytes)
      line += byte >= ' ' && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  return line + '\n';
}

// Points at the bytes that differ.
std::string marks(const demonstration& shown, const text_style& style) {
  std::string line(9, ' ');
  const std::size_t count =
      style.columns >= full_width ? shown.before.size() : shown.before.size() / 2;
  for (std::size_t i = 0; i < count; ++i) line += shown.before[i] == shown.after[i] ? "   " : " ^^";
  return line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
}

} // namespace

std::string text_of(std::span<const demonstration> shown, const text_style& style) {
  std::string text =
      fold(
          "A process is killed inside unlock: the mutex is free already, and another thread of the "
          "process has mapped a file over its memory. The file begins:",
          style.columns) +
      '\n';
  for (const demonstration& each : shown) {
    const std::string verdict = each.is_intact() ? "INTACT" : "CORRUPTED by the kernel";
    text += each.title + ", killed at " + each.place + '\n';
    text += dump("before", each.before, style) + dump("after", each.after, style);
    if (!each.is_intact()) text += in_colour(marks(each, style), yellow, style);
    text += in_colour("  " + verdict + '\n', each.is_intact() ? green : yellow, style);
  }
  return text + '\n';
}

std::string summary_of(std::span<const row> rows, const text_style& style) {
  constexpr const char* full_line = "{:<24} {:<12}{:>7}{:>10}{:>6}{:>9}  {}";
  const bool full = style.columns >= full_width;
  std::string text = fold(
      "Killed at every instruction of lock and unlock; totals of the scenarios:", style.columns);
  const auto add = [&](std::string line, std::string_view colour = {}) {
    line.erase(line.find_last_not_of(' ') + 1);
    text += in_colour(std::move(line), colour, style) + '\n';
  };
  if (full)
    add(fmt::format(full_line, "lock", "protection", "kills", "corrupted", "lost", "stranded", ""));
  bool has_limit = false;
  for (const totals& of : add_up(rows)) {
    has_limit = has_limit || of.verdict() == "clean*";
    if (full) {
      add(fmt::format(full_line, of.first->target->name(), of.protection, of.kill_points,
                      of.count(outcome::corrupted), of.count(outcome::lost),
                      of.count(outcome::stranded), of.verdict()),
          of.colour());
    } else {
      add(fmt::format("{}, {}: {}", of.first->target->name(), of.protection, of.verdict()),
          of.colour());
      add(fmt::format("  {} kills, {} corrupted,", of.kill_points, of.count(outcome::corrupted)));
      add(fmt::format("  {} lost, {} stranded", of.count(outcome::lost),
                      of.count(outcome::stranded)));
    }
  }
  if (has_limit) text += '\n' + fold("* " + limit_text(rows), style.columns);
  for (const row& row : rows) {
    const bool is_unclean = row.judge() == standing::unclean;
    if (!is_unclean && row.not_judged == 0) continue;
    fmt::format_to(std::back_inserter(text),
                   "\n{}: {}, {}, protection {}: {} corrupted, {} lost, {} stranded, {} not "
                   "judged\n",
                   is_unclean ? "NOT CLEAN" : "not judged everywhere", row.target->name(),
                   row.attack->name(), protection_of(row), row.count(outcome::corrupted),
                   row.count(outcome::lost), row.count(outcome::stranded), row.not_judged);
    add_findings(text, row, false);
  }
  text += '\n' + fold("Every row: --verbose, or --table FILE.", style.columns);
  return text + closing_line(rows);
}

std::string table_of(std::span<const row> rows, bool all_findings, bool colours) {
  std::string text = fmt::format(table_line, "subject", "scenario", "guard", "engine", "points",
                                 "owner died", "intact", "corrupted", "lost", "stranded", "");
  for (const row& row : rows) {
    const std::string_view colour = colours ? colour_of(row) : std::string_view{};
    text += colour;
    fmt::format_to(std::back_inserter(text), table_line, row.target->name(), row.attack->name(),
                   row.guard->name(), row.target->engine(), row.kill_points(),
                   row.count(outcome::owner_died), row.count(outcome::intact),
                   row.count(outcome::corrupted), row.count(outcome::lost),
                   row.count(outcome::stranded), verdict_of(row));
    if (!colour.empty()) text += "\x1b[0m";
    if (row.not_judged != 0)
      fmt::format_to(std::back_inserter(text), "    {} kill points could not be judged\n",
                     row.not_judged);
    if (all_findings || row.judge() == standing::unclean || row.not_judged != 0)
      add_findings(text, row, all_findings);
  }
  if (const std::string limit = limit_text(rows); !limit.empty()) text += '\n' + limit + '\n';
  return text + "\n" + closing_line(rows);
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
