// SPDX-License-Identifier: MIT
// Processes compete for one lock; the measure is how many pairs of lock and unlock
// they complete together in a fixed time, written as time per pair.
#include "contended.hpp"

#include "benchmarks.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <benchmark/benchmark.h>

namespace bench {
namespace {

// Work in which each step depends on the step before; musl_rival.c has the same work.
std::uint64_t work(std::uint64_t value, int steps) {
  for (int i = 0; i < steps; ++i) {
    value = value * 6364136223846793005U + 1442695040888963407U;
    benchmark::DoNotOptimize(value);
  }
  return value;
}

template <class Rival>
struct stage {
  contest_stage contest;
  alignas(64) Rival lock;
  // Guarded by the lock.
  alignas(64) std::uint64_t pairs = 0;
  std::uint64_t value = 1;
};

template <class Rival>
void compete(benchmark::State& state, int processes, int steps) {
  for (auto _ : state) {
    const typename mapping_for<stage<Rival>, Rival>::type mapping;
    auto& here = *mapping;
    const contest_result result =
        run_contest(here.contest, processes, contest_time, [&](contender& self) {
          std::uint64_t mine = 1;
          compete_until_stopped(here.contest, self, [&](std::uint64_t) {
            here.lock.lock();
            ++here.pairs;
            here.value = work(here.value, steps);
            here.lock.unlock();
            mine = work(mine, steps);
          });
        });
    require(result.pairs == here.pairs, "two processes were in a critical section at once");
    report(state, result, processes);
  }
}

template <class Rival>
void add(int processes, const section_length& length) {
  const int steps = length.steps;
  add_benchmark(
      contended_name(processes, length, Rival::name),
      [processes, steps](benchmark::State& state) { compete<Rival>(state, processes, steps); })
      ->Iterations(1)
      ->UseManualTime();
}

} // namespace

void register_contended() {
  for (const section_length& length : section_lengths) {
    for (const int processes : numbers_of_processes) {
      add<glibc_normal>(processes, length);
      add<glibc_robust>(processes, length);
#ifdef DEADBOLT_BENCH_BOOST
      add<boost_interprocess>(processes, length);
#endif
      add<robust_mutex>(processes, length);
      add<region_mutex>(processes, length);
      add<glibc_robust_pi>(processes, length);
      add<robust_pi_mutex>(processes, length);
    }
  }
}

} // namespace bench
