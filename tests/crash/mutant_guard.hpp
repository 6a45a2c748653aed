// SPDX-License-Identifier: MIT
// Guards that are broken on purpose.
#ifndef DEADBOLT_TESTS_CRASH_MUTANT_GUARD_HPP
#define DEADBOLT_TESTS_CRASH_MUTANT_GUARD_HPP

#include "crash/guards.hpp"

namespace deadbolt::crash {

// Claims to protect, and does nothing.
class idle_guard final : public guard_driver {
public:
  [[nodiscard]] std::string_view name() const override { return "idle"; }
  [[nodiscard]] bool protects() const override { return true; }
  [[nodiscard]] bool stops_at_exit() const override { return true; }
};

// The ptrace guard, but it does not see deaths, or does not see signals.
class half_guard final : public guard_driver {
public:
  explicit half_guard(bool sees_deaths) : sees_deaths_{sees_deaths} {}
  [[nodiscard]] std::string_view name() const override { return "half"; }
  [[nodiscard]] bool protects() const override { return true; }
  [[nodiscard]] bool stops_at_exit() const override { return sees_deaths_; }
  void prepare() const override { real_.prepare(); }
  void at_exit(pid_t tid, int status) const override;
  void at_signal(pid_t tid, int status) const override;

private:
  ptrace_guard real_;
  bool sees_deaths_;
};

// Clears the pending entry of every thread that dies or takes a signal, wherever
// it stands.
class eager_guard final : public guard_driver {
public:
  [[nodiscard]] std::string_view name() const override { return "eager"; }
  [[nodiscard]] bool protects() const override { return true; }
  [[nodiscard]] bool stops_at_exit() const override { return true; }
  void at_exit(pid_t tid, int status) const override;
  void at_signal(pid_t tid, int status) const override;
};

} // namespace deadbolt::crash
#endif
