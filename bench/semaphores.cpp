// SPDX-License-Identifier: MIT
// Processes compete for the permits of one semaphore: as in contended.cpp, except that with
// two permits two of them are inside at once.
#include "benchmarks.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <benchmark/benchmark.h>
#include <string>

namespace bench {
namespace {

template <class Rival>
struct stage {
  contest_stage contest;
  alignas(64) Rival semaphore;
  alignas(64) std::atomic<std::uint32_t> inside;
};

template <class Rival>
void compete(benchmark::State& state, int processes, unsigned permits) {
  for (auto _ : state) {
    const typename mapping_for<stage<Rival>, Rival>::type mapping;
    auto& here = *mapping;
    const contest_result result =
        run_contest(here.contest, processes, contest_time, [&](contender& self) {
          compete_until_stopped(here.contest, self, [&](std::uint64_t) {
            here.semaphore.lock();
            require(here.inside.fetch_add(1, std::memory_order_relaxed) < permits,
                    "more were inside than there are permits");
            here.inside.fetch_sub(1, std::memory_order_relaxed);
            here.semaphore.unlock();
          });
        });
    report(state, result, processes);
  }
}

template <class Rival>
void add(int processes, unsigned permits) {
  const std::string name = "semaphore/procs:" + std::to_string(processes) +
                           "/permits:" + std::to_string(permits) + "/" + Rival::name;
  add_benchmark(name, [=](benchmark::State& state) { compete<Rival>(state, processes, permits); })
      ->Iterations(1)
      ->UseManualTime();
}

template <unsigned permits>
void add_both() {
  for (const int processes : {2, 8}) {
    add<glibc_semaphore<permits>>(processes, permits);
    add<region_semaphore<permits>>(processes, permits);
  }
}

} // namespace

void register_semaphores() {
  add_both<1>();
  add_both<2>();
}

} // namespace bench
