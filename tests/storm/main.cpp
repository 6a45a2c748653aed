// SPDX-License-Identifier: MIT
// Runs a storm on each of this library's locks that crash-test knows, or on those that are
// named. Exit status: 0; 1 for a violation or a storm in which too little happened; 2 for bad
// usage.
#include "storm.hpp"
#include "targets.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <random>
#include <string>
#include <vector>

namespace {

using deadbolt::crash::subject;
using deadbolt::storm::outcome;
using deadbolt::storm::target;
using deadbolt::storm::ways;

void print(const subject& subject, const outcome& result, std::string_view wrong) {
  fmt::print("{:<23} {:>7} kills (", subject.name(), result.all_kills());
  for (std::size_t i = 0; i < ways.size(); ++i) {
    fmt::print("{}{} {}", i == 0 ? "" : ", ", to_string(ways[i]), result.kills[i]);
  }
  const auto milliseconds = [](std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  fmt::print("), {} takeovers, {} sections checked, longest wait {:.1f} ms, {:.1f} ms without "
             "a thread entering or leaving: {}\n",
             result.takeovers, result.sections, milliseconds(result.longest_wait),
             milliseconds(result.longest_rest), wrong.empty() ? "clean" : wrong);
  std::fflush(stdout);
}

int storm(const std::vector<std::string>& names, deadbolt::storm::options options, double total) {
  std::vector<target> chosen;
  for (const target& candidate : deadbolt::storm::all_targets()) {
    const bool named = std::ranges::find(names, candidate.subject->name()) != names.end();
    if (named || (names.empty() && candidate.subject->ours())) chosen.push_back(candidate);
  }
  if (chosen.empty() || (!names.empty() && chosen.size() != names.size())) {
    fmt::print(stderr,
               "storm: a --subject is not known; deadbolt crash-test --list shows most of them\n");
    return 2;
  }
  options.time = std::chrono::duration<double>(total / static_cast<double>(chosen.size()));
  fmt::print("storm: seed {} (--seed replays the schedule of kills), {} processes of {} threads, "
             "{:.1f} s a lock\n",
             options.seed, options.processes, options.threads, options.time.count());
  std::fflush(stdout); // otherwise each child would write the buffered text again
  bool clean = true;
  for (const target& each : chosen) {
    const outcome result = deadbolt::storm::run(*each.subject, options, each.permits);
    const std::string wrong =
        result.violation.empty() ? shortfall(result, options.time) : result.violation;
    print(*each.subject, result, wrong);
    clean = clean && wrong.empty();
  }
  return clean ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  try {
    CLI::App app(
        "Kill processes at random while they use locks, and check every critical section.");
    app.name("storm");
    deadbolt::storm::options options;
    options.seed = std::random_device{}();
    std::vector<std::string> subjects;
    double seconds = 60;
    double patience = options.patience.count();
    app.add_option("--subject", subjects, "A kind of lock (repeatable); all of ours by default");
    app.add_option("--seconds", seconds, "For all kinds together (default 60)")
        ->check(CLI::PositiveNumber);
    app.add_option("--seed", options.seed, "Replay this schedule of kills");
    app.add_option("--processes", options.processes, "At a time (default 4)")
        ->check(CLI::Range(1, 32));
    app.add_option("--threads", options.threads, "Of each process (default 2)")
        ->check(CLI::Range(1, 32));
    app.add_option("--patience", patience,
                   "Seconds that a thread may wait while none enters or leaves (default 4)")
        ->check(CLI::PositiveNumber);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : 2;
    }
    options.patience = std::chrono::duration<double>(patience);
    return storm(subjects, options, seconds);
  } catch (const std::exception& error) {
    fmt::print(stderr, "storm: {}\n", error.what());
    return 2;
  }
}
