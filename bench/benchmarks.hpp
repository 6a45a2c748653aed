// SPDX-License-Identifier: MIT
// The groups of benchmarks. A benchmark is called GROUP/RIVAL.
#ifndef DEADBOLT_BENCH_BENCHMARKS_HPP
#define DEADBOLT_BENCH_BENCHMARKS_HPP

#include "disturbance.hpp"

#include <benchmark/benchmark.h>
#include <string>
#include <utility>

namespace bench {

inline constexpr const char* uncontended_group = "uncontended";

// A counter: the ratio of the lock's time to the time of the group's reference, for a benchmark
// that measures both in turn. More accurate than a ratio of two medians.
inline constexpr const char* paired_ratio = "paired_ratio";

// A counter of every sample: the share of the machine that other programs used meanwhile.
inline constexpr const char* disturbance_counter = "disturbance";

// Registers `body`, which takes a benchmark::State&, with the counter above. Called again
// for more iterations, the body is measured anew.
template <class Body>
benchmark::internal::Benchmark* add_benchmark(const std::string& name, Body&& body) {
  return benchmark::RegisterBenchmark(name.c_str(),
                                      [body = std::forward<Body>(body)](benchmark::State& state) {
                                        const disturbance_meter meter;
                                        body(state);
                                        state.counters[disturbance_counter] = meter.share();
                                      });
}

void register_uncontended();
void register_contended();
void register_musl();
void register_semaphores();
void register_readers_writers();
void register_takeover();
void register_ping_pong();
void register_membership();
void register_waits();

} // namespace bench
#endif
