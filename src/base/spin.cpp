// SPDX-License-Identifier: MIT
#include <base/spin.hpp>

#include <sched.h>

namespace deadbolt::base {

// True until the CPUs are counted, so that a lock that an earlier constructor uses spins, too.
constinit bool more_than_one_cpu = true;

namespace {

[[gnu::constructor]] void count_cpus() noexcept {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) more_than_one_cpu = CPU_COUNT(&cpus) > 1;
}

} // namespace
} // namespace deadbolt::base
