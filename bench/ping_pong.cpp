// SPDX-License-Identifier: MIT
// Two processes that hand a turn to one another by a condition variable.
#include "benchmarks.hpp"
#include "contest.hpp"
#include "rivals.hpp"
#include "shared_mapping.hpp"

#include <benchmark/benchmark.h>
#include <deadbolt/condition_variable.hpp>
#include <string>

namespace bench {
namespace {

struct glibc_condition {
  static constexpr const char* name = "glibc_robust";
  glibc_robust mutex;
  pthread_cond_t condition;

  glibc_condition() {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    require(pthread_cond_init(&condition, &attributes) == 0, "pthread_cond_init failed");
    pthread_condattr_destroy(&attributes);
  }
  void lock() { mutex.lock(); }
  void unlock() { mutex.unlock(); }
  void wait() {
    require(pthread_cond_wait(&condition, &mutex.mutex) == 0, "pthread_cond_wait failed");
  }
  void notify() { require(pthread_cond_signal(&condition) == 0, "pthread_cond_signal failed"); }
};

struct region_condition {
  static constexpr const char* name = "condition_variable";
  static constexpr bool in_region = true;
  region_mutex mutex;
  deadbolt::condition_variable condition;

  void lock() { mutex.lock(); }
  void unlock() { mutex.unlock(); }
  void wait() {
    require(condition.wait(mutex.mutex).status() == deadbolt::wait_status::awake, "wait failed");
  }
  void notify() { condition.notify_one(); }
};

template <class Rival>
struct stage {
  contest_stage contest;
  alignas(64) Rival both;
  std::uint64_t turns = 0;
};

// A pair is one turn: the process that has the turn gives it to the other process.
template <class Rival>
void compete(benchmark::State& state) {
  constexpr int processes = 2;
  for (auto _ : state) {
    const typename mapping_for<stage<Rival>, Rival>::type mapping;
    auto& here = *mapping;
    const contest_result result =
        run_contest(here.contest, processes, contest_time, [&](contender& self) {
          const auto parity = static_cast<std::uint64_t>(&self - here.contest.contenders);
          compete_until_stopped(here.contest, self, [&](std::uint64_t) {
            here.both.lock();
            while (here.turns % processes != parity &&
                   !here.contest.stop.load(std::memory_order_relaxed))
              here.both.wait();
            ++here.turns;
            here.both.notify();
            here.both.unlock();
          });
          // The other process may have read `stop` just before it was set, and then waits for a
          // turn that this process no longer gives.
          here.both.lock();
          here.both.notify();
          here.both.unlock();
        });
    report(state, result, processes);
  }
}

template <class Rival>
void add() {
  add_benchmark(std::string{"ping_pong/"} + Rival::name, compete<Rival>)
      ->Iterations(1)
      ->UseManualTime();
}

} // namespace

void register_ping_pong() {
  add<glibc_condition>();
  add<region_condition>();
}

} // namespace bench
