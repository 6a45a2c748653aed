// SPDX-License-Identifier: MIT
// The parameters of the benchmarks of waits, for the locks of this program and of musl_rival.
#ifndef DEADBOLT_BENCH_WAITS_HPP
#define DEADBOLT_BENCH_WAITS_HPP

#include <benchmark/benchmark.h>
#include <chrono>
#include <string>

namespace bench {

struct wait_section {
  const char* name;
  std::chrono::nanoseconds length;
};
inline constexpr wait_section wait_sections[] = {{"1us", std::chrono::microseconds{1}},
                                                 {"100us", std::chrono::microseconds{100}},
                                                 {"1ms", std::chrono::milliseconds{1}}};
inline constexpr int waiting_processes[] = {2, 8};

// Long enough for 8 processes with sections of 1 ms to come in turn sixty times.
inline constexpr std::chrono::milliseconds time_of_a_wait_sample{500};
inline constexpr int wait_samples = 7;

inline std::string waits_name(int processes, const wait_section& section, const char* rival) {
  return "waits/procs:" + std::to_string(processes) + "/section:" + section.name + "/" + rival;
}

struct waits {
  double longest_ns;
  double p99_ns;
  double pairs_per_second;
  double fewest_pairs; // of the process that completed the fewest
};
inline void report(benchmark::State& state, const waits& waits) {
  state.SetIterationTime(waits.longest_ns * 1e-9);
  state.counters["p99_us"] = waits.p99_ns * 1e-3;
  state.counters["throughput"] = waits.pairs_per_second;
  state.counters["fewest_pairs"] = waits.fewest_pairs;
}

} // namespace bench
#endif
