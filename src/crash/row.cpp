// SPDX-License-Identifier: MIT
#include "crash/row.hpp"

#include <numeric>

namespace deadbolt::crash {

std::string_view to_string(outcome outcome) noexcept {
  switch (outcome) {
  case outcome::owner_died:
    return "owner died";
  case outcome::intact:
    return "intact";
  case outcome::corrupted:
    return "corrupted";
  case outcome::lost:
    return "lost";
  case outcome::stranded:
    break;
  }
  return "stranded";
}

std::uint32_t row::kill_points() const noexcept {
  return std::accumulate(counts.begin(), counts.end(), 0u);
}

bool row::is_protected() const {
  return guard->protects() || target->protected_by_itself();
}

standing row::judge() const {
  if (!target->ours() || !is_protected()) return standing::comparison;
  // A row without a single kill point proves nothing.
  if (kill_points() == 0 || not_judged != 0) return standing::unclean;
  std::uint32_t bad = count(outcome::corrupted);
  if (!is_limited(*attack, *target)) bad += count(outcome::lost) + count(outcome::stranded);
  return bad == 0 ? standing::clean : standing::unclean;
}

} // namespace deadbolt::crash
