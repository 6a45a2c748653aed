// SPDX-License-Identifier: MIT
// Processes that mostly read and sometimes write behind one lock.
#include "benchmarks.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <benchmark/benchmark.h>
#include <string>

namespace bench {
namespace {

// The readers' side and the writers' side of one lock.
template <int kind>
struct both_glibc_rwlock {
  glibc_rwlock<true, kind> rwlock;

  void lock_shared() { rwlock.lock(); }
  void unlock_shared() { rwlock.unlock(); }
  void lock() {
    require(pthread_rwlock_wrlock(&rwlock.rwlock) == 0, "a pthread_rwlock was not locked");
  }
  void unlock() { rwlock.unlock(); }
};

struct glibc_default : both_glibc_rwlock<PTHREAD_RWLOCK_DEFAULT_NP> {
  static constexpr const char* name = "glibc_rwlock"; // readers first
};
struct glibc_writers_first : both_glibc_rwlock<PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP> {
  static constexpr const char* name = "glibc_rwlock_writers_first";
};

template <deadbolt::shared_mutex_policy policy>
struct both_shared_mutex {
  static constexpr bool in_region = true;
  deadbolt::shared_mutex mutex{policy};

  void lock_shared() { require(mutex.lock_shared(), "lock_shared: not held"); }
  void unlock_shared() {
    require(mutex.unlock_shared() == deadbolt::unlock_status::released,
            "unlock_shared: not released");
  }
  void lock() { require(mutex.lock(), "lock: not held"); }
  void unlock() {
    require(mutex.unlock() == deadbolt::unlock_status::released, "unlock: not released");
  }
};

using policy = deadbolt::shared_mutex_policy;
struct writers_first : both_shared_mutex<policy::writers_first> {
  static constexpr const char* name = "shared_mutex"; // the default
};
struct readers_first : both_shared_mutex<policy::readers_first> {
  static constexpr const char* name = "shared_mutex_readers_first";
};
struct fair : both_shared_mutex<policy::fair> {
  static constexpr const char* name = "shared_mutex_fair";
};

// A plain mutex, with which readers also exclude one another: for comparison.
struct only_mutex {
  static constexpr const char* name = "mutex";
  static constexpr bool in_region = true;
  region_mutex mutex;

  void lock_shared() { mutex.lock(); }
  void unlock_shared() { mutex.unlock(); }
  void lock() { mutex.lock(); }
  void unlock() { mutex.unlock(); }
};

template <class Rival>
struct stage {
  contest_stage contest;
  alignas(64) Rival lock;
  // Written together, under the lock.
  alignas(64) std::uint64_t first = 0;
  std::uint64_t second = 0;
};

std::uint64_t look(const std::uint64_t& value) {
  return *static_cast<const volatile std::uint64_t*>(&value);
}

template <class Rival>
void compete(benchmark::State& state, int processes, std::uint64_t writes_per_cent) {
  for (auto _ : state) {
    const typename mapping_for<stage<Rival>, Rival>::type mapping;
    auto& here = *mapping;
    const contest_result result =
        run_contest(here.contest, processes, contest_time, [&](contender& self) {
          compete_until_stopped(here.contest, self, [&](std::uint64_t number) {
            // Spreads the writes evenly over each hundred sections.
            if (number * writes_per_cent % 100 < writes_per_cent) {
              here.lock.lock();
              ++here.first;
              ++here.second;
              here.lock.unlock();
            } else {
              here.lock.lock_shared();
              require(look(here.first) == look(here.second), "a reader saw a writer's work");
              here.lock.unlock_shared();
            }
          });
        });
    report(state, result, processes);
  }
}

template <class Rival>
void add(int processes, std::uint64_t writes_per_cent) {
  const std::string name = "readers_writers/procs:" + std::to_string(processes) +
                           "/writes:" + std::to_string(writes_per_cent) + "%/" + Rival::name;
  add_benchmark(name,
                [processes, writes_per_cent](benchmark::State& state) {
                  compete<Rival>(state, processes, writes_per_cent);
                })
      ->Iterations(1)
      ->UseManualTime();
}

} // namespace

void register_readers_writers() {
  for (const std::uint64_t writes : {0U, 1U, 10U}) {
    for (const int processes : {2, 8}) {
      add<glibc_default>(processes, writes);
      add<glibc_writers_first>(processes, writes);
      add<writers_first>(processes, writes);
      add<readers_first>(processes, writes);
      add<fair>(processes, writes);
      add<only_mutex>(processes, writes);
    }
  }
}

} // namespace bench
