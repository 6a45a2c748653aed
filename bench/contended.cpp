// SPDX-License-Identifier: MIT
// Processes compete for one lock; the measure is how many pairs of lock and unlock
// they complete together in a fixed time, written as time per pair.
#include "benchmarks.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <string>

namespace bench {
namespace {

constexpr std::chrono::milliseconds contest_time{100};

// The clock is read this seldom, so that its cost does not count.
constexpr std::uint64_t pairs_per_gap = 64;

struct section_length {
  const char* name;
  int steps; // of about a nanosecond each, inside the lock, and as many outside
};
constexpr section_length lengths[] = {{"short", 0}, {"long", 1000}};

// Work whose every step waits for the one before.
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
          std::uint64_t pairs = 0;
          std::uint64_t last = nanoseconds_now();
          while (!here.contest.stop.load(std::memory_order_relaxed)) {
            here.lock.lock();
            ++here.pairs;
            here.value = work(here.value, steps);
            here.lock.unlock();
            mine = work(mine, steps);
            if (++pairs % pairs_per_gap != 0) continue;
            const std::uint64_t now = nanoseconds_now();
            self.longest_gap = std::max(self.longest_gap, now - last);
            last = now;
          }
          self.pairs = pairs;
        });
    require(result.pairs == here.pairs, "two processes were in a critical section at once");
    require(result.pairs > 0, "nobody got the lock");
    const auto pairs = static_cast<double>(result.pairs);
    state.SetIterationTime(result.seconds / pairs);
    state.counters["pairs_per_second"] = pairs / result.seconds;
    state.counters["smallest_share"] = static_cast<double>(result.fewest_pairs) * processes / pairs;
    state.counters["longest_gap_ms"] = static_cast<double>(result.longest_gap) * 1e-6;
  }
}

template <class Rival>
void add(int processes, const section_length& length) {
  const std::string name = "contended/procs:" + std::to_string(processes) +
                           "/section:" + length.name + "/" + Rival::name;
  const int steps = length.steps;
  benchmark::RegisterBenchmark(
      name.c_str(),
      [processes, steps](benchmark::State& state) { compete<Rival>(state, processes, steps); })
      ->Iterations(1)
      ->UseManualTime();
}

// Processes that only read: what a shared lock is for. Nothing is counted under it.
template <class Rival>
void read_together(benchmark::State& state, int processes) {
  for (auto _ : state) {
    const typename mapping_for<stage<Rival>, Rival>::type mapping;
    auto& here = *mapping;
    const contest_result result =
        run_contest(here.contest, processes, contest_time, [&](contender& self) {
          std::uint64_t pairs = 0;
          for (; !here.contest.stop.load(std::memory_order_relaxed); ++pairs) {
            here.lock.lock();
            benchmark::DoNotOptimize(here.value);
            here.lock.unlock();
          }
          self.pairs = pairs;
        });
    require(result.pairs > 0, "nobody read");
    const auto pairs = static_cast<double>(result.pairs);
    state.SetIterationTime(result.seconds / pairs);
    state.counters["pairs_per_second"] = pairs / result.seconds;
    state.counters["smallest_share"] = static_cast<double>(result.fewest_pairs) * processes / pairs;
    state.counters["longest_gap_ms"] = 0;
  }
}

template <class Rival>
void add_readers(int processes) {
  const std::string name = "readers/procs:" + std::to_string(processes) + "/" + Rival::name;
  benchmark::RegisterBenchmark(
      name.c_str(),
      [processes](benchmark::State& state) { read_together<Rival>(state, processes); })
      ->Iterations(1)
      ->UseManualTime();
}

} // namespace

void register_contended() {
  for (const int processes : {1, 2, 8}) {
    add_readers<glibc_rwlock_read>(processes);
    add_readers<shared_mutex_read>(processes);
  }
  for (const section_length& length : lengths) {
    for (const int processes : {1, 2, 4, 8}) {
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
