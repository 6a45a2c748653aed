// SPDX-License-Identifier: MIT
#include "crash/ptrace_guard.hpp"

#include "crash/failure.hpp"
#include "guard/ptrace/permission.hpp"
#include "guard/ptrace/stop_handler.hpp"
#include "guard/windows/known_libcs.hpp"

#include <string>

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
  handler.handle(guard::classify_stop(tid, status));
  const guard::repair_report& report = handler.last_repair();
  if (report.outcome == guard::repair_outcome::refused)
    throw failure{std::string{"the guard was refused: "} + std::strerror(report.error)};
}

} // namespace deadbolt::crash
