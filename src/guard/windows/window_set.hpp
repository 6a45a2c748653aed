// SPDX-License-Identifier: MIT
// The windows of every libc that a guard knows, as it looks them up.
#ifndef DEADBOLT_GUARD_WINDOWS_WINDOW_SET_HPP
#define DEADBOLT_GUARD_WINDOWS_WINDOW_SET_HPP

#include "guard/repair_rule.h"
#include "guard/windows/window_table.hpp"

#include <compare>
#include <map>

namespace deadbolt::guard {

struct window_key_less {
  bool operator()(const deadbolt_window_key& a, const deadbolt_window_key& b) const noexcept;
};

class window_set {
public:
  // Where two libcs have the same code at the same place and it means different things
  // in them, the one that leads to fewer repairs is kept: a wake is owed, and a proof
  // that both accept.
  void add(const window_table& table);
  // nullptr if no known libc has a window there.
  [[nodiscard]] const deadbolt_window* find(const deadbolt_window_key& key) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return windows_.size(); }
  [[nodiscard]] const std::map<deadbolt_window_key, deadbolt_window, window_key_less>&
  all() const noexcept {
    return windows_;
  }

private:
  std::map<deadbolt_window_key, deadbolt_window, window_key_less> windows_;
};

} // namespace deadbolt::guard
#endif
