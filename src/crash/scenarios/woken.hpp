// SPDX-License-Identifier: MIT
// woken: the waiter that an unlock woke dies on its way back, and another sleeps on.
#ifndef DEADBOLT_CRASH_SCENARIOS_WOKEN_HPP
#define DEADBOLT_CRASH_SCENARIOS_WOKEN_HPP

#include "crash/scenario.hpp"

namespace deadbolt::crash {

class woken_scenario final : public scenario {
public:
  [[nodiscard]] std::string_view name() const override { return "woken"; }
  [[nodiscard]] std::string_view summary() const override {
    return "of two waiters the woken one is killed on its way back, after a third process took the "
           "lock; when that one unlocks the other waiter must get it";
  }
  [[nodiscard]] std::span<const std::string_view> operations() const override;
  [[nodiscard]] verdict run(const point& at) const override;
};

} // namespace deadbolt::crash
#endif
