// SPDX-License-Identifier: MIT
// One line of crash-test's table: a subject, a scenario and a protection.
#ifndef DEADBOLT_CRASH_ROW_HPP
#define DEADBOLT_CRASH_ROW_HPP

#include "crash/scenario.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace deadbolt::crash {

struct finding {
  std::string operation;
  std::uint32_t kill_at; // instructions from the operation's first
  std::string place;     // symbol and offset of the instruction
  std::string result;    // an outcome's name, or "not judged"
  std::string text;
};

enum class standing : std::uint8_t {
  clean,      // protected, ours, and nothing went wrong
  unclean,    // protected, ours, and something did, or a kill point could not be judged
  comparison, // not ours, or not protected: shown, not judged
};

struct row {
  const subject* target;
  const scenario* attack;
  const guard_driver* guard;

  std::array<std::uint32_t, outcomes> counts{};
  std::uint32_t not_judged = 0; // the harness failed there
  std::vector<finding> findings{};

  [[nodiscard]] std::uint32_t count(outcome of) const noexcept {
    return counts[static_cast<std::size_t>(of)];
  }
  [[nodiscard]] std::uint32_t kill_points() const noexcept;
  [[nodiscard]] bool is_protected() const;
  [[nodiscard]] standing judge() const;
};

[[nodiscard]] std::string_view to_string(outcome outcome) noexcept;

} // namespace deadbolt::crash
#endif
