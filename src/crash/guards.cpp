// SPDX-License-Identifier: MIT
#include "crash/guards.hpp"

#include "crash/failure.hpp"
#include "guard/bpf/pins.hpp"
#include "guard/ptrace/permission.hpp"
#include "guard/ptrace/stop_handler.hpp"
#include "guard/unlock_windows/known_libcs.hpp"

#include <array>

namespace deadbolt::crash {

std::string ptrace_guard::unavailable() const {
  return guard::find_ptrace_refusal().value_or("");
}

const guard::window_set& ptrace_guard::libcs() const {
  static const guard::known_windows known = guard::know_libcs(guard::installed_libcs());
  return libcs_ != nullptr ? *libcs_ : known.set;
}

void ptrace_guard::prepare() const {
  static_cast<void>(libcs());
}

void ptrace_guard::handle(pid_t tid, int status) const {
  guard::stop_handler handler(libcs());
  handler.handle(trace::classify_stop(tid, status));
  const guard::repair_report& report = handler.last_repair();
  if (report.outcome == guard::repair_outcome::refused)
    throw failure{std::string{"the guard was refused: "} + std::strerror(report.error)};
}

std::string bpf_guard::unavailable() const {
  const guard::bpf_look look = guard::look_at_bpf_guard();
  if (look.counts) return {};
  return look.error + "; as root start: deadbolt guard";
}

std::span<const guard_driver* const> all_guards() {
  static const no_guard none;
  static const ptrace_guard ptrace;
  static const bpf_guard bpf;
  static const std::array<const guard_driver*, 3> all{&none, &ptrace, &bpf};
  return all;
}

} // namespace deadbolt::crash
