// SPDX-License-Identifier: MIT
// waiter: a process waits for the lock while the holder dies in lock or unlock.
#ifndef DEADBOLT_CRASH_SCENARIOS_WAITER_HPP
#define DEADBOLT_CRASH_SCENARIOS_WAITER_HPP

#include "crash/scenario.hpp"

namespace deadbolt::crash {

class waiter_scenario final : public scenario {
public:
  [[nodiscard]] std::string_view name() const override { return "waiter"; }
  [[nodiscard]] std::string_view summary() const override {
    return "a process waits for the lock while the holder is killed in lock or in unlock; it must "
           "get it, as acquired or as owner died as is right";
  }
  [[nodiscard]] std::span<const std::string_view> operations() const override;
  [[nodiscard]] verdict run(const point& at) const override;
};

} // namespace deadbolt::crash
#endif
