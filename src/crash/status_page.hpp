// SPDX-License-Identifier: MIT
// What a victim lets its tracer know before it is stepped.
#ifndef DEADBOLT_CRASH_STATUS_PAGE_HPP
#define DEADBOLT_CRASH_STATUS_PAGE_HPP

#include "crash/victim.hpp"

#include <atomic>
#include <unistd.h>

namespace deadbolt::crash {

enum class trouble : std::uint32_t { none, lock_refused, not_traceable, no_thread };

// In shared memory. Written by the victim once, read by the tracer.
struct victim::status_page {
  // order: publish() and report() release what was stored before them to the
  // tracer's acquire loads.
  std::atomic<pid_t> tid{0};
  std::atomic<trouble> what{trouble::none};
  int error = 0;

  void publish(pid_t stepped) noexcept { tid.store(stepped, std::memory_order_release); }
  [[noreturn]] void report(trouble found, int because) noexcept {
    error = because;
    what.store(found, std::memory_order_release);
    _exit(1);
  }
};

} // namespace deadbolt::crash
#endif
