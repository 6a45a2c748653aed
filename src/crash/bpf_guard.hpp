// SPDX-License-Identifier: MIT
// The BPF guard, which `deadbolt guard` has attached: it sees the victims as it sees
// every process, and has nothing to do here.
#ifndef DEADBOLT_CRASH_BPF_GUARD_HPP
#define DEADBOLT_CRASH_BPF_GUARD_HPP

#include "crash/guard_driver.hpp"

namespace deadbolt::crash {

class bpf_guard final : public guard_driver {
public:
  [[nodiscard]] std::string_view name() const override { return "bpf"; }
  [[nodiscard]] bool protects() const override { return true; }
  [[nodiscard]] bool watches_everything() const override { return true; }
  [[nodiscard]] std::string unavailable() const override;
};

} // namespace deadbolt::crash
#endif
