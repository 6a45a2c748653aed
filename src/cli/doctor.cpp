// SPDX-License-Identifier: MIT
// deadbolt doctor
#include "cli/doctor/checks.hpp"
#include "cli/json_text.hpp"
#include "cli/printable_text.hpp"
#include "cli/subcommand.hpp"

#include <CLI/CLI.hpp>
#include <fmt/color.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>

namespace deadbolt::cli {
namespace {

constexpr const char* doctor_description =
    "Look at what this machine can promise: the unlock engines, the protection of this\n"
    "process, the guards that are possible and what forbids one, and a live check that\n"
    "kills a child which holds a mutex.\n"
    "Exit status: 0, or 1 if something is broken; 127 if DEADBOLT_ENGINE names an engine\n"
    "that is not there.";

fmt::text_style style_of(doctor::level severity) {
  if (::isatty(STDOUT_FILENO) == 0) return {};
  switch (severity) {
  case doctor::level::ok:
    return fmt::fg(fmt::terminal_color::green);
  case doctor::level::warning:
    return fmt::fg(fmt::terminal_color::yellow);
  case doctor::level::broken:
    return fmt::emphasis::bold | fmt::fg(fmt::terminal_color::red);
  }
  return {};
}

void print_lines(const std::vector<doctor::finding>& findings) {
  for (const doctor::finding& found : findings) {
    const std::string severity = fmt::format("{:<9}", to_string(found.severity));
    fmt::print("{}{:<14}{}\n", fmt::format(style_of(found.severity), "{}", severity), found.check,
               printable(found.what));
    if (!found.what_to_do.empty()) fmt::print("{:<23}-> {}\n", "", found.what_to_do);
  }
}

void print_json(const std::vector<doctor::finding>& findings, bool broken) {
  nlohmann::ordered_json json{{"broken", broken}, {"findings", nlohmann::ordered_json::array()}};
  for (const doctor::finding& found : findings) {
    json["findings"].push_back({{"check", found.check},
                                {"level", to_string(found.severity)},
                                {"what", found.what},
                                {"what_to_do", found.what_to_do}});
  }
  fmt::print("{}\n", json_text(json, 2));
}

int examine(bool as_json, const std::optional<std::string>& region, pid_t pid) {
  const std::vector<doctor::finding> findings = pid != 0 ? doctor::examine_process(pid)
                                                : region ? doctor::examine_region(*region)
                                                         : doctor::examine_machine();
  const bool broken = std::ranges::any_of(findings, [](const doctor::finding& found) {
    return found.severity == doctor::level::broken;
  });
  if (as_json) {
    print_json(findings, broken);
  } else {
    print_lines(findings);
  }
  return broken ? 1 : 0;
}

} // namespace

void add_doctor(CLI::App& app, int& status) {
  auto as_json = std::make_shared<bool>(false);
  auto region = std::make_shared<std::optional<std::string>>();
  auto pid = std::make_shared<pid_t>(0);
  CLI::App* sub = app.add_subcommand("doctor", doctor_description);
  sub->add_flag("--json", *as_json, "Print the findings as JSON");
  sub->add_option("--region", *region,
                  "Look at the threads that use this region's locks instead: would the kernel "
                  "mark each one's death if it died now?")
      ->type_name("FILE");
  sub->add_option("--pid", *pid,
                  "Look at this process instead: does it have libdeadbolt-pthread.so, and what "
                  "does that do there?")
      ->type_name("PID")
      ->check(CLI::PositiveNumber);
  sub->callback([=, &status] { status = examine(*as_json, *region, *pid); });
}

} // namespace deadbolt::cli
