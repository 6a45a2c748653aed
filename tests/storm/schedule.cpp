// SPDX-License-Identifier: MIT
#include "storm.hpp"

#include <fmt/core.h>
#include <numeric>

namespace deadbolt::storm {
namespace {

// In a second a storm makes hundreds of kills, a good many takeovers, and hundreds of thousands of
// sections. A storm that makes less than the limits below has tested nothing.
constexpr double kills_a_second = 10;
constexpr double takeovers_a_second = 1;
constexpr double sections_a_second = 200;

} // namespace

std::string_view to_string(way way) noexcept {
  switch (way) {
  case way::sigkill:
    return "SIGKILL";
  case way::sigsegv:
    return "SIGSEGV";
  case way::exit_group:
    return "exit_group";
  case way::exec:
    break;
  }
  return "execve";
}

strike schedule::next() {
  const auto gap = random_() % (2'000 * static_cast<std::uint64_t>(options_.between_kills.count()));
  return {.after = std::chrono::nanoseconds(gap),
          .process = static_cast<std::uint32_t>(random_() % options_.processes),
          .thread = static_cast<std::uint32_t>(random_() % options_.threads),
          .how = ways[random_() % ways.size()]};
}

std::uint64_t outcome::all_kills() const {
  return std::accumulate(kills.begin(), kills.end(), std::uint64_t{0});
}

std::string shortfall(const outcome& outcome, std::chrono::duration<double> time) {
  const auto wanted = [&](double a_second) {
    return static_cast<std::uint64_t>(1 + a_second * time.count());
  };
  const auto missing = [](std::string_view what, std::uint64_t count, std::uint64_t least) {
    return fmt::format("too little happened: {} {}, and {} at least were to be", count, what,
                       least);
  };
  if (outcome.all_kills() < wanted(kills_a_second))
    return missing("kills", outcome.all_kills(), wanted(kills_a_second));
  if (outcome.takeovers < wanted(takeovers_a_second))
    return missing("takeovers", outcome.takeovers, wanted(takeovers_a_second));
  if (outcome.sections < wanted(sections_a_second))
    return missing("sections", outcome.sections, wanted(sections_a_second));
  return {};
}

} // namespace deadbolt::storm
