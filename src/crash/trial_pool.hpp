// SPDX-License-Identifier: MIT
// Runs each kill point in a process of its own, several at a time.
#ifndef DEADBOLT_CRASH_TRIAL_POOL_HPP
#define DEADBOLT_CRASH_TRIAL_POOL_HPP

#include "crash/scenario.hpp"

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
  // Kill points at work at a time; those that only wait come on top. 0: as many as
  // suit this machine.
  unsigned workers = 0;
  // A kill point that is not done by then is given up. The default is more than the
  // sum of the patience in any scenario.
  unsigned watchdog_seconds = 60;
  std::function<void()> on_result = [] {};
};

// One result a task, in order. Nothing that a kill point does, and no death of the
// caller, leaves a process or memory behind.
[[nodiscard]] std::vector<result> run_tasks(const std::vector<task>& tasks,
                                            const pool_options& options);

} // namespace deadbolt::crash
#endif
