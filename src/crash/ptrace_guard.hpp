// SPDX-License-Identifier: MIT
// The ptrace guard, driven by crash-test.
#ifndef DEADBOLT_CRASH_PTRACE_GUARD_HPP
#define DEADBOLT_CRASH_PTRACE_GUARD_HPP

#include "crash/guard_driver.hpp"
#include "guard/windows/window_set.hpp"

namespace deadbolt::crash {

// The handling of stops is `deadbolt run`'s own; only who waits for the victim differs.
class ptrace_guard final : public guard_driver {
public:
  // It knows the libcs of this machine, or the given windows instead, which it uses and
  // does not copy.
  ptrace_guard() = default;
  explicit ptrace_guard(const guard::window_set& libcs) : libcs_{&libcs} {}

  [[nodiscard]] std::string_view name() const override { return "ptrace"; }
  [[nodiscard]] bool protects() const override { return true; }
  [[nodiscard]] std::string unavailable() const override;
  // Measures the libcs of this machine, or finds their tables.
  void prepare() const override;
  [[nodiscard]] bool stops_at_exit() const override { return true; }
  void at_exit(pid_t tid, int status) const override { handle(tid, status); }
  void at_signal(pid_t tid, int status) const override { handle(tid, status); }

private:
  void handle(pid_t tid, int status) const;
  [[nodiscard]] const guard::window_set& libcs() const;
  const guard::window_set* libcs_ = nullptr;
};

} // namespace deadbolt::crash
#endif
