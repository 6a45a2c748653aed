// SPDX-License-Identifier: MIT
// What watches the victim: nothing, or one of the guards.
#ifndef DEADBOLT_CRASH_GUARD_DRIVER_HPP
#define DEADBOLT_CRASH_GUARD_DRIVER_HPP

#include <string>
#include <string_view>
#include <sys/types.h>

namespace deadbolt::crash {

// A thread has one tracer, and crash-test is the victim's: a ptrace guard is
// therefore driven from here, at the stops at which it would act by itself. A
// guard that works from elsewhere has nothing to do in these calls.
class guard_driver {
public:
  guard_driver() = default;
  guard_driver(const guard_driver&) = delete;
  guard_driver& operator=(const guard_driver&) = delete;
  virtual ~guard_driver() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual bool protects() const = 0;
  // It guards every process of the machine, this run's other rows included: it is used
  // only when it is asked for, and alone.
  [[nodiscard]] virtual bool watches_everything() const { return false; }
  // Why this guard cannot be used here, with the remedy; empty when it can.
  [[nodiscard]] virtual std::string unavailable() const { return {}; }

  // Called once before victims are made, in the process that they descend from.
  virtual void prepare() const {}

  // Whether the victim is to stop in PTRACE_EVENT_EXIT.
  [[nodiscard]] virtual bool stops_at_exit() const { return false; }
  // The victim's thread `tid` stands in PTRACE_EVENT_EXIT, before the kernel walks
  // its robust list. `status` is the stop's, as waitpid gave it.
  virtual void at_exit(pid_t /*tid*/, int /*status*/) const {}
  // The thread stands in a signal-delivery-stop, before the handler's frame is made.
  virtual void at_signal(pid_t /*tid*/, int /*status*/) const {}
};

class no_guard final : public guard_driver {
public:
  [[nodiscard]] std::string_view name() const override { return "none"; }
  [[nodiscard]] bool protects() const override { return false; }
};

} // namespace deadbolt::crash
#endif
