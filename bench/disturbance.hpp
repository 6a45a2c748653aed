// SPDX-License-Identifier: MIT
// How much of the machine other programs used while a sample was measured.
#ifndef DEADBOLT_BENCH_DISTURBANCE_HPP
#define DEADBOLT_BENCH_DISTURBANCE_HPP

#include <chrono>

namespace bench {

// A sample is discarded when other programs used more than this share of the machine's
// CPU time meanwhile. The kernel counts CPU time in ticks of 10 ms, and a contest on two
// CPUs lasts 20 of them, so a smaller share could not be told from a tick too many.
inline constexpr double most_disturbance = 0.25;

// CPU time in seconds. Children count when they have been waited for.
struct cpu_times {
  double all_programs; // and what the hypervisor gave to other machines (steal)
  double this_program; // and its children
};
[[nodiscard]] cpu_times cpu_times_now();

// The share, 0 to 1, of `cpus` CPUs that other programs used in the `seconds` between two readings.
[[nodiscard]] double share_of_others(const cpu_times& before, const cpu_times& after,
                                     double seconds, double cpus);

class disturbance_meter {
public:
  // The share of the machine's CPU time that other programs have used since construction,
  // 0 to 1.
  [[nodiscard]] double share() const;

private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  cpu_times before_ = cpu_times_now();
};

} // namespace bench
#endif
