// SPDX-License-Identifier: MIT
// Priority inheritance shown, not assumed. Three processes on one CPU: the least
// urgent holds the lock, the most urgent waits for it, and one in between never
// sleeps. With inheritance the holder runs in front of the one in between; without
// it the most urgent waits for the one in between to stop.
#include "futex_thread.hpp"

#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
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

// One process waits here, asleep, until another lets it go on.
class gate {
public:
  gate() {
    if (pipe(ends_) != 0) std::abort();
  }
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;
  ~gate() {
    close(ends_[0]);
    close(ends_[1]);
  }
  void wait() const {
    char byte;
    if (read(ends_[0], &byte, 1) != 1) _exit(7);
  }
  void open() const {
    const char byte = 0;
    if (write(ends_[1], &byte, 1) != 1) std::abort();
  }

private:
  int ends_[2];
};

template <class Mutex>
struct stage {
  Mutex mutex;
  std::atomic<bool> held{false};
  std::atomic<bool> hogging{false};
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

std::int64_t now_ns() {
  return clock::now().time_since_epoch().count();
}

// The director of the stage keeps off the CPU that the actors fight for.
class off_cpu {
public:
  explicit off_cpu(std::size_t cpu) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t others = before_;
    CPU_CLR(cpu, &others);
    sched_setaffinity(0, sizeof others, &others);
  }
  off_cpu(const off_cpu&) = delete;
  off_cpu& operator=(const off_cpu&) = delete;
  ~off_cpu() { sched_setaffinity(0, sizeof before_, &before_); }

private:
  cpu_set_t before_{};
};

// How long the most urgent waits for the lock from when its holder may go on, while the
// one in between has the CPU. Whoever waits for the stage to be set sleeps: one that
// spun, at a priority it was lent, would keep the others from taking their places.
template <class Mutex>
std::chrono::nanoseconds wait_of_the_most_urgent() {
  void* memory = mmap(nullptr, sizeof(stage<Mutex>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(memory, MAP_FAILED);
  auto* shared = new (memory) stage<Mutex>;
  const std::size_t cpu = last_cpu();
  const off_cpu elsewhere{cpu};
  const gate holder_may_go_on;
  const gate between_may_begin;

  const pid_t holder = start(10, cpu, [&] {
    if (shared->mutex.lock() != lock_status::acquired) _exit(6);
    shared->held = true;
    holder_may_go_on.wait();
    for (const auto until = cpu_time() + section_time; cpu_time() < until;) {
    }
    shared->mutex.unlock();
  });
  EXPECT_TRUE(eventually([=] { return shared->held.load(); }));

  const pid_t urgent = start(30, cpu, [&] {
    if (shared->mutex.lock() != lock_status::acquired) _exit(6);
    shared->acquired_ns = now_ns();
    shared->mutex.unlock();
  });
  deadbolt::testing::await_sleeping(urgent, urgent, shared->mutex.native_handle());

  const pid_t between = start(20, cpu, [&] {
    between_may_begin.wait();
    shared->hogging = true;
    for (const auto until = clock::now() + hogging_time; clock::now() < until;) {
    }
  });
  between_may_begin.open();
  EXPECT_TRUE(eventually([=] { return shared->hogging.load(); }));
  const std::int64_t released_ns = now_ns();
  holder_may_go_on.open();

  for (const pid_t child : {holder, urgent, between}) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const std::chrono::nanoseconds waited{shared->acquired_ns - released_ns};
  munmap(memory, sizeof(stage<Mutex>));
  return waited;
}

// An empty string, or why this machine cannot show it.
std::string reason_not_to_run() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0 || CPU_COUNT(&cpus) < 2)
    return "the stage needs two CPUs: one to fight for and one to direct from";
  const pid_t child = fork();
  if (child == 0) _exit(set_fifo(1) ? 0 : errno);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return std::string("SCHED_FIFO is refused here: ") + std::strerror(WEXITSTATUS(status));
}

class priority_inheritance : public ::testing::Test {
protected:
  void SetUp() override {
    const std::string reason = reason_not_to_run();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_F(priority_inheritance, robust_pi_mutex_bounds_the_wait_of_the_most_urgent) {
  const auto waited = wait_of_the_most_urgent<robust_pi_mutex>();
  RecordProperty("waited_ns", std::to_string(waited.count()));
  EXPECT_LT(waited, hogging_time / 2);
}

// The control: without inheritance this stage does keep the most urgent waiting.
TEST_F(priority_inheritance, robust_mutex_does_not_bound_it) {
  EXPECT_GE(wait_of_the_most_urgent<robust_mutex>(), hogging_time / 2);
}

} // namespace
