// SPDX-License-Identifier: MIT
// From the SIGKILL of an owner to the return of its waiter's lock.
#include "benchmarks.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <algorithm>
#include <atomic>
#include <benchmark/benchmark.h>
#include <cerrno>
#include <csignal>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace bench {
namespace {

constexpr int kills_a_sample = 100;
// Between the waiter's announcement and the kill: it is asleep by then.
constexpr std::uint64_t time_to_sleep = 100'000;

// An owner that dies, and is followed.
struct dying_glibc_robust : glibc_robust {
  bool lock_after_death() {
    const int error = pthread_mutex_lock(&mutex);
    return error == EOWNERDEAD && pthread_mutex_consistent(&mutex) == 0;
  }
  // The kernel's bit in the lock word, which is the mutex's first.
  [[nodiscard]] bool has_waiter() const {
    return (__atomic_load_n(reinterpret_cast<const int*>(&mutex), __ATOMIC_ACQUIRE) &
            static_cast<int>(0x80000000U)) != 0;
  }
};

struct dying_region_mutex : region_mutex {
  bool lock_after_death() {
    return mutex.lock().status() == deadbolt::lock_status::owner_died && mutex.mark_consistent();
  }
  [[nodiscard]] bool has_waiter() const {
    // A waiter's bit in the word, or the word behind it.
    const std::uint64_t* const words = mutex.native_handle();
    return (__atomic_load_n(&words[0], __ATOMIC_ACQUIRE) & 0x80000000U) != 0 ||
           __atomic_load_n(&words[1], __ATOMIC_ACQUIRE) != 0;
  }
};

template <class Rival>
struct stage {
  alignas(64) Rival lock;
  std::atomic<std::uint64_t> killed_at;
  std::atomic<pid_t> owner;
};

template <class Body>
pid_t fork_into(Body&& body) {
  const pid_t child = fork();
  require(child >= 0, "fork failed");
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(30);
  body();
  _exit(0);
}

template <class Rival>
std::uint64_t time_one_kill(stage<Rival>& here) {
  here.owner.store(0);
  const pid_t owner = fork_into([&] {
    here.lock.lock();
    here.owner.store(getpid());
    for (;;) pause();
  });
  while (here.owner.load() == 0) sched_yield();
  const pid_t killer = fork_into([&] {
    while (!here.lock.has_waiter()) sched_yield();
    const std::uint64_t seen = nanoseconds_now();
    while (nanoseconds_now() - seen < time_to_sleep) {
    }
    here.killed_at.store(nanoseconds_now());
    kill(owner, SIGKILL);
  });
  const bool told = here.lock.lock_after_death();
  const std::uint64_t end = nanoseconds_now();
  require(told, "the waiter was not told of the death");
  here.lock.unlock();
  for (const pid_t child : {owner, killer}) waitpid(child, nullptr, 0);
  return end - here.killed_at.load();
}

template <class Rival>
void take_over(benchmark::State& state) {
  for (auto _ : state) {
    const typename mapping_for<stage<Rival>, Rival>::type mapping;
    std::vector<std::uint64_t> times;
    times.reserve(kills_a_sample);
    for (int i = 0; i < kills_a_sample; ++i) times.push_back(time_one_kill(*mapping));
    std::sort(times.begin(), times.end());
    state.SetIterationTime(static_cast<double>(times[times.size() / 2]) * 1e-9);
    state.counters["p99_us"] = static_cast<double>(times[times.size() * 99 / 100]) * 1e-3;
  }
}

template <class Rival>
void add() {
  benchmark::RegisterBenchmark((std::string{"takeover/"} + Rival::name).c_str(), take_over<Rival>)
      ->Iterations(1)
      ->UseManualTime();
}

} // namespace

void register_takeover() {
  add<dying_glibc_robust>();
  add<dying_region_mutex>();
}

} // namespace bench
