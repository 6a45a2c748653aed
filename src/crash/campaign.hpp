// SPDX-License-Identifier: MIT
// A whole run of crash-test: the plan, and a row of results for each subject, guard and scenario.
#ifndef DEADBOLT_CRASH_CAMPAIGN_HPP
#define DEADBOLT_CRASH_CAMPAIGN_HPP

#include "crash/scenarios.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace deadbolt::crash {

struct finding {
  std::string operation;
  // Instructions from the operation's first; nothing if that is not known, because the operation
  // was not seen to end.
  std::optional<std::uint32_t> kill_at;
  std::string place;  // symbol and offset of the instruction
  std::string result; // an outcome's name, or "not judged"
  std::string text;
};

enum class standing : std::uint8_t {
  clean,      // protected, this library's, and nothing went wrong
  unclean,    // protected, this library's, and something did, or a kill point could not be judged
  comparison, // not this library's, or not protected: shown, not judged
};

struct row {
  const subject* target;
  const scenario* attack;
  const guard_driver* guard;

  std::array<std::uint32_t, outcomes> counts{};
  std::uint32_t not_judged = 0; // kill points at which the harness failed
  std::vector<finding> findings{};

  [[nodiscard]] std::uint32_t count(outcome of) const noexcept {
    return counts[static_cast<std::size_t>(of)];
  }
  [[nodiscard]] std::uint32_t kill_points() const noexcept;
  [[nodiscard]] bool is_protected() const;
  [[nodiscard]] standing judge() const;
};

struct campaign_plan {
  std::vector<const subject*> subjects;
  std::vector<const scenario*> scenarios;
  std::vector<const guard_driver*> guards;
  // Locks that are protected by themselves are attacked under a guard too.
  bool guards_the_protected = true;
  unsigned workers = 0; // 0: as many as suit this machine
  unsigned watchdog_seconds = 300;
  unsigned stride = 1; // kill at one instruction in so many, the first and the last among them
  // Called after each kill point with the number that are done and the number of all.
  std::function<void(std::size_t, std::size_t)> on_progress{};
};

// A row for each subject, guard and scenario, in that order.
[[nodiscard]] std::vector<row> run_campaign(const campaign_plan& plan);

// Symbol and offset of an instruction of this process, or of a fork of it.
[[nodiscard]] std::string name_place(trace::address instruction);

} // namespace deadbolt::crash
#endif
