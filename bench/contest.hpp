// SPDX-License-Identifier: MIT
// Processes that compete for one lock for a fixed time.
#ifndef DEADBOLT_BENCH_CONTEST_HPP
#define DEADBOLT_BENCH_CONTEST_HPP

#include <algorithm>
#include <atomic>
#include <benchmark/benchmark.h>
#include <chrono>
#include <cstdint>
#include <functional>
#include <pthread.h>
#include <vector>

namespace bench {

inline constexpr int most_processes = 8;

struct alignas(64) contender {
  std::uint64_t pairs;       // completed lock and unlock pairs
  std::uint64_t longest_gap; // the longest time for pairs_per_gap pairs, in ns
};

// Lives in a shared mapping.
struct contest_stage {
  pthread_barrier_t start;
  alignas(64) std::atomic<bool> stop;
  contender contenders[most_processes];
};

struct contest_result {
  double seconds;             // from the start to the last process's end
  std::uint64_t pairs;        // of all processes
  std::uint64_t fewest_pairs; // of the process that completed the fewest
  std::uint64_t longest_gap;  // ns
};

// Gets and sets the CPUs that the calling thread may use.
std::vector<int> allowed_cpus();
void allow(const std::vector<int>& cpus);

// Forks `processes` children, the first pinned to the first CPU that this process
// may use, the second to the next, and so on in turn. Each calls `compete` when all
// are there; it returns when `stage.stop` is set, `duration` later.
contest_result run_contest(contest_stage& stage, int processes, std::chrono::nanoseconds duration,
                           const std::function<void(contender&)>& compete);

inline std::uint64_t nanoseconds_now() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

inline constexpr std::chrono::milliseconds contest_time{100};

// The clock is read once in so many pairs, so that its cost is negligible.
inline constexpr std::uint64_t pairs_per_gap = 64;

// Runs one_pair(number) until stage.stop is set.
template <class OnePair>
void compete_until_stopped(const contest_stage& stage, contender& self, OnePair&& one_pair) {
  std::uint64_t pairs = 0;
  std::uint64_t last = nanoseconds_now();
  while (!stage.stop.load(std::memory_order_relaxed)) {
    one_pair(pairs);
    if (++pairs % pairs_per_gap != 0) continue;
    const std::uint64_t now = nanoseconds_now();
    self.longest_gap = std::max(self.longest_gap, now - last);
    last = now;
  }
  self.pairs = pairs;
}

// The time of a pair, and the counters that ratio_table prints.
void report(benchmark::State& state, const contest_result& result, int processes);

} // namespace bench
#endif
