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
#include <linux/futex.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace bench {
namespace {

constexpr int kills_a_sample = 100;
// Nanoseconds between the waiter's announcement and the kill: the waiter is asleep by then.
constexpr std::uint64_t time_to_sleep = 100'000;

constexpr std::uint32_t waiters_bit = 0x80000000U;

// The waiters bit of a lock word, which is the same bit in robust futexes and in region locks.
template <class Word>
bool has_waiters_bit(const Word* word) {
  return (__atomic_load_n(word, __ATOMIC_ACQUIRE) & waiters_bit) != 0;
}

// Locks whose owner dies; lock_after_death() is the next owner's lock.
template <class Glibc>
struct dying_glibc : Glibc {
  bool lock_after_death() {
    const int error = pthread_mutex_lock(&this->mutex);
    return error == EOWNERDEAD && pthread_mutex_consistent(&this->mutex) == 0;
  }
  [[nodiscard]] bool has_waiter() const {
    // The lock word is the mutex's first.
    return has_waiters_bit(reinterpret_cast<const std::uint32_t*>(&this->mutex));
  }
};

template <class Ours>
struct dying_deadbolt : Ours {
  bool lock_after_death() {
    return this->mutex.lock().status() == deadbolt::lock_status::owner_died &&
           this->mutex.mark_consistent();
  }
  [[nodiscard]] bool has_waiter() const { return has_waiters_bit(this->mutex.native_handle()); }
};

struct dying_region_mutex : dying_deadbolt<region_mutex> {
  [[nodiscard]] bool has_waiter() const {
    // The waiters bit, or `waiting`, the 32 bits behind the word.
    const std::uint64_t* const word = mutex.native_handle();
    return has_waiters_bit(word) ||
           __atomic_load_n(reinterpret_cast<const std::uint32_t*>(word + 1), __ATOMIC_ACQUIRE) != 0;
  }
};

struct shared_mutex : deadbolt_mutex<deadbolt::shared_mutex> {
  static constexpr const char* name = "shared_mutex";
  static constexpr bool in_region = true;
};

void wake_all(std::atomic<std::uint32_t>& word) {
  word.store(0);
  syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

// The parts of a take-over, without a death. The waiter sleeps on a futex, as a lock's waiter does.
struct floor_lock {
  std::atomic<std::uint32_t> word{0};
  std::atomic<std::uint32_t> asleep{0};
  void lock() {
    asleep.store(0);
    word.store(1);
  }
  void unlock() {}
  bool lock_after_death() {
    asleep.store(1);
    while (word.load() != 0) syscall(SYS_futex, &word, FUTEX_WAIT, 1, nullptr, nullptr, 0);
    return true;
  }
  [[nodiscard]] bool has_waiter() const { return asleep.load() != 0; }
};

// The killer's process wakes the waiter: a wake-up alone.
struct wake_floor : floor_lock {
  static constexpr const char* name = "wake_floor";
  void end(pid_t /*owner*/) { wake_all(word); }
};

// A signal handler of the owner wakes the waiter: what a take-over would cost if the kernel marked
// the lock as soon as the owner runs with the signal.
struct signal_floor : floor_lock {
  static constexpr const char* name = "signal_floor";
  static inline signal_floor* handled = nullptr;
  void lock() {
    handled = this;
    signal(SIGUSR1, [](int) { wake_all(handled->word); });
    floor_lock::lock();
  }
  void end(pid_t owner) { kill(owner, SIGUSR1); }
};

template <class Rival>
struct stage {
  alignas(64) Rival lock;
  std::atomic<std::uint64_t> killed_at;
  std::atomic<pid_t> owner;
};

template <class Body>
pid_t fork_into(int cpu, Body&& body) {
  const pid_t child = fork();
  require(child >= 0, "fork failed");
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(30);
  allow({cpu});
  body();
  for (;;) pause();
}

// The owner has a CPU to itself. The killer runs on the waiter's CPU, and sleeps when the waiter is
// to wake up.
template <class Rival>
std::uint64_t time_one_kill(stage<Rival>& here, int owners_cpu, int waiters_cpu) {
  here.owner.store(0);
  const pid_t owner = fork_into(owners_cpu, [&] {
    here.lock.lock();
    here.owner.store(getpid());
  });
  while (here.owner.load() == 0) sched_yield();
  const pid_t killer = fork_into(waiters_cpu, [&] {
    while (!here.lock.has_waiter()) sched_yield();
    const std::uint64_t seen = nanoseconds_now();
    while (nanoseconds_now() - seen < time_to_sleep) {
    }
    here.killed_at.store(nanoseconds_now());
    if constexpr (requires { here.lock.end(owner); }) {
      here.lock.end(owner);
    } else {
      kill(owner, SIGKILL);
    }
  });
  const bool told = here.lock.lock_after_death();
  const std::uint64_t end = nanoseconds_now();
  require(told, "the waiter was not told of the death");
  here.lock.unlock();
  for (const pid_t child : {owner, killer}) kill(child, SIGKILL);
  for (const pid_t child : {owner, killer}) waitpid(child, nullptr, 0);
  return end - here.killed_at.load();
}

std::uint64_t at(const std::vector<std::uint64_t>& sorted, std::size_t per_cent) {
  return sorted[(sorted.size() - 1) * per_cent / 100];
}

// Kills of the reference's owners and of the measured lock's owners alternate, so that a change
// of the machine's speed affects both. Each sample has a ratio of its own.
template <class Reference, class Rival>
void take_over(benchmark::State& state) {
  const std::vector<int> cpus = allowed_cpus();
  for (auto _ : state) {
    const typename mapping_for<stage<Reference>, Reference>::type reference;
    const typename mapping_for<stage<Rival>, Rival>::type rival;
    allow({cpus.front()});
    std::vector<std::uint64_t> of_reference;
    std::vector<std::uint64_t> times;
    for (int i = 0; i < kills_a_sample; ++i) {
      of_reference.push_back(time_one_kill(*reference, cpus.back(), cpus.front()));
      times.push_back(time_one_kill(*rival, cpus.back(), cpus.front()));
    }
    allow(cpus);
    std::sort(of_reference.begin(), of_reference.end());
    std::sort(times.begin(), times.end());
    const auto median = static_cast<double>(at(times, 50));
    state.SetIterationTime(median * 1e-9);
    state.counters["p99_us"] = static_cast<double>(at(times, 99)) * 1e-3;
    state.counters[paired_ratio] = median / static_cast<double>(at(of_reference, 50));
  }
}

template <class Rival>
void add() {
  add_benchmark(std::string{"takeover/"} + Rival::name, take_over<dying_glibc<glibc_robust>, Rival>)
      ->Iterations(1)
      ->UseManualTime();
}

} // namespace

void register_takeover() {
  add<wake_floor>();
  add<signal_floor>();
  add<dying_glibc<glibc_robust>>();
  add<dying_deadbolt<robust_mutex>>();
  add<dying_region_mutex>();
  add<dying_deadbolt<shared_mutex>>();
  add<dying_glibc<glibc_robust_pi>>();
  add<dying_deadbolt<robust_pi_mutex>>();
}

} // namespace bench
