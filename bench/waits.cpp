// SPDX-License-Identifier: MIT
// How long a process waits for a lock that others take again as soon as they have released it.
#include "waits.hpp"
#include "benchmarks.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <string>
#include <vector>

namespace bench {
namespace {

// The waits of a process that completes more are those of its first so many pairs.
constexpr std::size_t most_waits = std::size_t{1} << 17;

template <class Rival>
struct stage {
  contest_stage contest;
  alignas(64) Rival lock;
  std::uint32_t waits[most_processes][most_waits]; // ns
};

void busy_for(std::chrono::nanoseconds length) {
  const std::uint64_t end = nanoseconds_now() + static_cast<std::uint64_t>(length.count());
  while (nanoseconds_now() < end) {
  }
}

template <class Rival>
void wait_in_turn(benchmark::State& state, int processes, std::chrono::nanoseconds section) {
  for (auto _ : state) {
    const typename mapping_for<stage<Rival>, Rival>::type mapping;
    auto& here = *mapping;
    const contest_result result =
        run_contest(here.contest, processes, time_of_a_wait_sample, [&](contender& self) {
          std::uint32_t* waits = here.waits[&self - here.contest.contenders];
          compete_until_stopped(here.contest, self, [&](std::uint64_t pair) {
            const std::uint64_t before = nanoseconds_now();
            here.lock.lock();
            const std::uint64_t waited = nanoseconds_now() - before;
            busy_for(section);
            here.lock.unlock();
            if (pair < most_waits) waits[pair] = static_cast<std::uint32_t>(waited);
          });
        });
    std::vector<std::uint32_t> all;
    for (int i = 0; i < processes; ++i) {
      const std::uint64_t taken = here.contest.contenders[i].pairs;
      all.insert(all.end(), here.waits[i],
                 here.waits[i] + std::min<std::uint64_t>(taken, most_waits));
    }
    require(!all.empty(), "nobody got the lock");
    std::sort(all.begin(), all.end());
    report(state, waits{.longest_ns = static_cast<double>(all.back()),
                        .p99_ns = static_cast<double>(all[(all.size() - 1) * 99 / 100]),
                        .pairs_per_second = static_cast<double>(result.pairs) / result.seconds,
                        .fewest_pairs = static_cast<double>(result.fewest_pairs)});
  }
}

template <class Rival>
void add(int processes, const wait_section& section) {
  add_benchmark(waits_name(processes, section, Rival::name),
                [processes, length = section.length](benchmark::State& state) {
                  wait_in_turn<Rival>(state, processes, length);
                })
      ->Iterations(1)
      ->Repetitions(wait_samples)
      ->UseManualTime();
}

} // namespace

void register_waits() {
  for (const wait_section& section : wait_sections) {
    for (const int processes : waiting_processes) {
      add<glibc_normal>(processes, section);
      add<glibc_robust>(processes, section);
#ifdef DEADBOLT_BENCH_BOOST
      add<boost_interprocess>(processes, section);
#endif
      add<robust_mutex>(processes, section);
      add<region_mutex>(processes, section);
      add<glibc_rwlock_write>(processes, section);
      add<shared_mutex_write>(processes, section);
      add<glibc_robust_pi>(processes, section);
      add<robust_pi_mutex>(processes, section);
    }
  }
}

} // namespace bench
