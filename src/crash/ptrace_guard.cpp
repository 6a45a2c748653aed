// SPDX-License-Identifier: MIT
#include "crash/ptrace_guard.hpp"

#include "crash/failure.hpp"
#include "guard/ptrace/permission.hpp"
#include "guard/ptrace/stop_handler.hpp"

#include <string>

namespace deadbolt::crash {

std::string ptrace_guard::unavailable() const {
  return guard::find_ptrace_refusal().value_or("");
}

void ptrace_guard::handle(pid_t tid, int status) {
  guard::stop_handler handler;
  handler.handle(guard::classify_stop(tid, status));
  const guard::repair_report& report = handler.last_repair();
  if (report.outcome == guard::repair_outcome::refused)
    throw failure{std::string{"the guard was refused: "} + std::strerror(report.error)};
}

} // namespace deadbolt::crash
