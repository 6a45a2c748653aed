// SPDX-License-Identifier: MIT
// Processes that compete for one lock for a fixed time.
#ifndef DEADBOLT_BENCH_CONTEST_HPP
#define DEADBOLT_BENCH_CONTEST_HPP

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <pthread.h>

namespace bench {

inline constexpr int most_processes = 8;

struct alignas(64) contender {
  std::uint64_t pairs;       // completed lock and unlock pairs
  std::uint64_t longest_gap; // that a few of them took, in ns
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
  std::uint64_t fewest_pairs; // of the process that got the least
  std::uint64_t longest_gap;  // ns
};

// Forks `processes` children, the first pinned to the first CPU that this process
// may use, the second to the next, and so on in turn. Each calls `compete` when all
// are there; it returns when `stage.stop` is set, `duration` later.
contest_result run_contest(contest_stage& stage, int processes, std::chrono::nanoseconds duration,
                           const std::function<void(contender&)>& compete);

inline std::uint64_t nanoseconds_now() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

} // namespace bench
#endif
