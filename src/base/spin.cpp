// SPDX-License-Identifier: MIT
#include <base/spin.hpp>

#include <sched.h>

namespace deadbolt::base {

// True until counted, so that a lock used by an earlier constructor spins too.
constinit bool more_than_one_cpu = true;

namespace {

[[gnu::constructor]] void count_cpus() noexcept {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) more_than_one_cpu = CPU_COUNT(&cpus) > 1;
}

} // namespace
} // namespace deadbolt::base
