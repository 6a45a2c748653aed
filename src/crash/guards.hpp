// SPDX-License-Identifier: MIT
// What watches the victim: nothing, or one of the guards.
#ifndef DEADBOLT_CRASH_GUARDS_HPP
#define DEADBOLT_CRASH_GUARDS_HPP

#include "guard/unlock_windows/table.hpp"

#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace deadbolt::crash {

// A thread has one tracer, and the victim's is crash-test. crash-test therefore calls a ptrace
// guard at the stops at which that guard would act by itself. A guard that works by other means has
// nothing to do in these calls.
class guard_driver {
public:
  guard_driver() = default;
  guard_driver(const guard_driver&) = delete;
  guard_driver& operator=(const guard_driver&) = delete;
  virtual ~guard_driver() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual bool protects() const = 0;
  // It guards every process of the machine, those of this run's other rows included: it is used
  // only when it is asked for, and alone.
  [[nodiscard]] virtual bool watches_everything() const { return false; }
  // Why this guard cannot be used here, with the remedy; empty if it can.
  [[nodiscard]] virtual std::string unavailable() const { return {}; }

  // Called once in the process that makes all victims, before the first of them.
  virtual void prepare() const {}

  // Whether the victim is to stop in PTRACE_EVENT_EXIT.
  [[nodiscard]] virtual bool stops_at_exit() const { return false; }
  // The victim's thread `tid` is stopped in PTRACE_EVENT_EXIT, before the kernel walks its robust
  // list. `status` is the stop's, as waitpid gave it.
  virtual void at_exit(pid_t /*tid*/, int /*status*/) const {}
  // The thread is stopped in a signal-delivery-stop, before the handler's frame is made.
  virtual void at_signal(pid_t /*tid*/, int /*status*/) const {}
};

class no_guard final : public guard_driver {
public:
  [[nodiscard]] std::string_view name() const override { return "none"; }
  [[nodiscard]] bool protects() const override { return false; }
};

// `deadbolt run`'s handling of stops, called by crash-test.
class ptrace_guard final : public guard_driver {
public:
  // It knows the libcs of this machine, or instead the given windows, which it uses and does not
  // copy.
  ptrace_guard() = default;
  explicit ptrace_guard(const guard::window_set& libcs) : libcs_{&libcs} {}

  [[nodiscard]] std::string_view name() const override { return "ptrace"; }
  [[nodiscard]] bool protects() const override { return true; }
  [[nodiscard]] std::string unavailable() const override;
  // Measures the libcs of this machine, or reads their tables.
  void prepare() const override;
  [[nodiscard]] bool stops_at_exit() const override { return true; }
  void at_exit(pid_t tid, int status) const override { handle(tid, status); }
  void at_signal(pid_t tid, int status) const override { handle(tid, status); }

private:
  void handle(pid_t tid, int status) const;
  [[nodiscard]] const guard::window_set& libcs() const;
  const guard::window_set* libcs_ = nullptr;
};

// The BPF guard that `deadbolt guard` has attached. It sees victims as it sees every process.
class bpf_guard final : public guard_driver {
public:
  [[nodiscard]] std::string_view name() const override { return "bpf"; }
  [[nodiscard]] bool protects() const override { return true; }
  [[nodiscard]] bool watches_everything() const override { return true; }
  [[nodiscard]] std::string unavailable() const override;
};

// In the order of the table. A new guard is a class here and an entry in this list.
[[nodiscard]] std::span<const guard_driver* const> all_guards();

} // namespace deadbolt::crash
#endif
