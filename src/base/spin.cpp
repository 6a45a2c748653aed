// SPDX-License-Identifier: MIT
#include <base/spin.hpp>

#include <base/clock.hpp>
#include <sched.h>

namespace deadbolt::base {

// True until the CPUs are counted, so that a lock that an earlier constructor uses spins, too.
constinit bool more_than_one_cpu = true;

namespace {

[[gnu::constructor]] void count_cpus() noexcept {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) more_than_one_cpu = CPU_COUNT(&cpus) > 1;
}

// In nanoseconds. While processors take a lock's cache lines from each other, a thread that reads
// and sometimes writes finds the lock held every 0.5 to 8 us.
constexpr std::int64_t soon = 8'000;
} // namespace

void pace::wait(bool was_short) noexcept {
  if (!more_than_one_cpu) return;
  if (was_short && now() - last_ < soon) {
    pauses_ = pauses_ < most_pauses / 2 ? pauses_ * 2 : most_pauses;
  } else if (pauses_ > 1) {
    pauses_ -= (pauses_ + 3) / 4;
  }
  if (was_short) {
    for (std::uint32_t i = 0; i < pauses_; ++i) arch::spin_pause();
  }
  last_ = now();
}

} // namespace deadbolt::base
