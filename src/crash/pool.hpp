// SPDX-License-Identifier: MIT
// Runs each kill point in a process of its own, a trial, several at a time.
#ifndef DEADBOLT_CRASH_POOL_HPP
#define DEADBOLT_CRASH_POOL_HPP

#include "crash/scenarios.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace deadbolt::crash {

struct task {
  const subject* target;
  const scenario* attack;
  const guard_driver* guard;
  std::size_t operation;
  std::uint32_t kill_at;
  path* recorded;
  const path* known;
};

struct result {
  std::optional<verdict> judged;
  std::string failure; // why not
};

struct pool_options {
  // Trials at work at a time, besides those that only wait. 0: as many as suit this machine.
  unsigned workers = 0;
  // A trial that is not done by then is given up. The default is more than all the patience of any
  // scenario together.
  unsigned watchdog_seconds = 300;
  std::function<void()> on_result = [] {};
};

// One result a task, in order. No trial leaves a process or memory behind, and neither does the
// death of the caller.
[[nodiscard]] std::vector<result> run_tasks(const std::vector<task>& tasks,
                                            const pool_options& options);

} // namespace deadbolt::crash
#endif
