// SPDX-License-Identifier: MIT
#include "guard/windows/window_set.hpp"

#include <cstring>

namespace deadbolt::guard {

bool window_key_less::operator()(const deadbolt_window_key& a,
                                 const deadbolt_window_key& b) const noexcept {
  if (a.page_offset != b.page_offset) return a.page_offset < b.page_offset;
  return std::memcmp(a.code, b.code, sizeof a.code) < 0;
}

void window_set::add(const window_table& table) {
  for (const libc_window& window : table.windows) {
    const auto [at, is_new] = windows_.try_emplace(key_of(window), window.what);
    if (is_new) continue;
    deadbolt_window& known = at->second;
    if (window.what.owed != 0) known.owed = 1;
    if (known.kind == window.what.kind) continue;
    if (known.kind == DEADBOLT_CS_ALWAYS)
      known.kind = window.what.kind;
    else if (window.what.kind != DEADBOLT_CS_ALWAYS)
      known.kind = 0; // two proofs at odds: none that the rule accepts
  }
}

const deadbolt_window* window_set::find(const deadbolt_window_key& key) const noexcept {
  const auto found = windows_.find(key);
  return found == windows_.end() ? nullptr : &found->second;
}

} // namespace deadbolt::guard
