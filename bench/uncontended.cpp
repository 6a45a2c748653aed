// SPDX-License-Identifier: MIT
// One thread acquires and releases an uncontended lock.
#include "benchmarks.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <benchmark/benchmark.h>
#include <cstdio>
#include <new>
#include <string>

namespace bench {
namespace {

// Permits of a semaphore: two, so that the search for a free permit is measured, too.
constexpr unsigned permits = 2;

// Measures the thread's CPU time, which excludes other programs.
template <class Rival>
void lock_and_unlock(benchmark::State& state) {
  struct alignas(64) stage {
    Rival lock;
  };
  const typename mapping_for<stage, Rival>::type mapping;
  Rival& lock = mapping->lock;
  for (auto _ : state) {
    lock.lock();
    benchmark::ClobberMemory();
    lock.unlock();
    benchmark::ClobberMemory();
  }
}

template <class... Rivals>
void add() {
  (add_benchmark(std::string{uncontended_group} + "/" + Rivals::name, lock_and_unlock<Rivals>),
   ...);
}

} // namespace

void register_uncontended() {
  add<one_rmw_floor, one_rmw_floor_called, two_rmw_floor, two_rmw_floor_called, robust_floor,
      glibc_normal, glibc_robust, glibc_pi, glibc_robust_pi, robust_mutex, robust_pi_mutex,
      region_mutex, glibc_rwlock_read, shared_mutex_read, glibc_rwlock_write, shared_mutex_write,
      glibc_semaphore<permits>, region_semaphore<permits>>();
#ifdef DEADBOLT_BENCH_BOOST
  add<boost_interprocess>();
#else
  std::puts("without Boost.Interprocess: there are no headers of it (libboost-dev)");
#endif
}

} // namespace bench
