// SPDX-License-Identifier: MIT
// Priority inheritance shown, not assumed. Three processes on one CPU: the least
// urgent holds the lock, the most urgent waits for it, and one in between never
// sleeps. With inheritance the holder runs in front of the one in between; without
// it the most urgent waits for the one in between to stop.
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <new>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace deadbolt;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto hogging_time = 600ms; // how long the one in between runs
constexpr auto section_time = 10ms;  // CPU time of the holder's critical section
constexpr auto watchdog = 20s;

template <class Mutex>
struct stage {
  Mutex mutex;
  std::atomic<bool> held{false};
  std::atomic<bool> hogging{false};
  std::atomic<std::int64_t> hogging_since_ns{0};
  std::atomic<std::int64_t> acquired_ns{-1};
};

bool set_fifo(int priority) {
  const sched_param parameter{.sched_priority = priority};
  return sched_setscheduler(0, SCHED_FIFO, &parameter) == 0;
}

void pin_to(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) _exit(3);
}

// The last CPU that this process may use.
std::size_t last_cpu() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  std::size_t last = 0;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) last = cpu;
  }
  return last;
}

std::chrono::nanoseconds cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

template <class Body>
pid_t start(int priority, std::size_t cpu, Body body) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(4);
  pin_to(cpu);
  if (!set_fifo(priority)) _exit(5);
  body();
  _exit(0);
}

template <class Condition>
bool eventually(Condition condition) {
  const auto end = clock::now() + watchdog;
  while (!condition()) {
    if (clock::now() > end) return false;
    sched_yield();
  }
  return true;
}

// How long the most urgent waits for the lock, from when the one in between runs: only
// then does the holder go on. What comes before is the machine being busy.
template <class Mutex>
std::chrono::nanoseconds wait_of_the_most_urgent() {
  void* memory = mmap(nullptr, sizeof(stage<Mutex>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(memory, MAP_FAILED);
  auto* shared = new (memory) stage<Mutex>;
  const std::size_t cpu = last_cpu();

  const pid_t holder = start(10, cpu, [=] {
    if (shared->mutex.lock() != lock_status::acquired) _exit(6);
    shared->held = true;
    while (!shared->hogging) {
    }
    for (const auto until = cpu_time() + section_time; cpu_time() < until;) {
    }
    shared->mutex.unlock();
  });
  EXPECT_TRUE(eventually([=] { return shared->held.load(); }));

  const pid_t urgent = start(30, cpu, [=] {
    if (shared->mutex.lock() != lock_status::acquired) _exit(6);
    shared->acquired_ns = clock::now().time_since_epoch().count();
    shared->mutex.unlock();
  });
  const std::uint32_t* word = shared->mutex.native_handle();
  EXPECT_TRUE(
      eventually([=] { return (__atomic_load_n(word, __ATOMIC_RELAXED) & FUTEX_WAITERS) != 0; }));

  const pid_t between = start(20, cpu, [=] {
    shared->hogging_since_ns = clock::now().time_since_epoch().count();
    shared->hogging = true;
    for (const auto until = clock::now() + hogging_time; clock::now() < until;) {
    }
  });
  for (const pid_t child : {holder, urgent, between}) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const std::chrono::nanoseconds waited{shared->acquired_ns - shared->hogging_since_ns};
  munmap(memory, sizeof(stage<Mutex>));
  return waited;
}

// The least of a few: a processor that is taken from the whole machine, as a
// hypervisor does, lengthens a wait and never shortens it.
template <class Mutex>
std::chrono::nanoseconds least_wait_of_the_most_urgent() {
  auto least = wait_of_the_most_urgent<Mutex>();
  for (int again = 0; again < 2; ++again) least = std::min(least, wait_of_the_most_urgent<Mutex>());
  return least;
}

// An empty string, or why this machine cannot show it.
std::string reason_not_to_run() {
  const pid_t child = fork();
  if (child == 0) _exit(set_fifo(1) ? 0 : errno);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return std::string("SCHED_FIFO is refused here: ") + std::strerror(WEXITSTATUS(status));
}

class priority_inheritance : public testing::Test {
protected:
  void SetUp() override {
    const std::string reason = reason_not_to_run();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_F(priority_inheritance, robust_pi_mutex_bounds_the_wait_of_the_most_urgent) {
  const auto waited = least_wait_of_the_most_urgent<robust_pi_mutex>();
  RecordProperty("waited_ns", std::to_string(waited.count()));
  EXPECT_LT(waited, hogging_time / 2);
}

// The control: without inheritance this stage does keep the most urgent waiting.
TEST_F(priority_inheritance, robust_mutex_does_not_bound_it) {
  EXPECT_GE(least_wait_of_the_most_urgent<robust_mutex>(), hogging_time / 2);
}

} // namespace
