// SPDX-License-Identifier: MIT
// Shows priority inheritance. Three processes on one CPU: the least urgent holds the lock,
// the most urgent waits for it, and the one in between never sleeps. With inheritance the
// holder runs before the one in between; without it the most urgent waits until the one in
// between stops.
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

// CPU time, which a busy machine does not stretch.
constexpr auto hogging_time = 600ms; // that the process in between uses after the go
constexpr auto section_time = 10ms;  // that the holder's critical section uses
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
  std::atomic<bool> holder_may_go_on{false};
  std::atomic<bool> acquired{false};
  std::atomic<bool> acquired_while_hogging{false};
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

// Keeps this process, which starts the three others, off the CPU for which they compete.
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

// Whether the most urgent acquires the lock while the one in between still has the CPU, after the
// holder may go on. Until all three are ready they sleep: one that spun instead would keep those of
// lower priority from becoming ready.
template <class Mutex>
bool most_urgent_goes_first() {
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
    shared->acquired = true;
    shared->mutex.unlock();
  });
  deadbolt::testing::await_sleeping(urgent, urgent, shared->mutex.native_handle());

  const pid_t between = start(20, cpu, [&] {
    between_may_begin.wait();
    shared->hogging = true;
    while (!shared->holder_may_go_on) {
    }
    for (const auto until = cpu_time() + hogging_time; cpu_time() < until && !shared->acquired;) {
    }
    shared->acquired_while_hogging = shared->acquired.load();
  });
  between_may_begin.open();
  EXPECT_TRUE(eventually([=] { return shared->hogging.load(); }));
  holder_may_go_on.open();
  shared->holder_may_go_on = true;

  for (const pid_t child : {holder, urgent, between}) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(shared->acquired);
  const bool goes_first = shared->acquired_while_hogging;
  munmap(memory, sizeof(stage<Mutex>));
  return goes_first;
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
  EXPECT_TRUE(most_urgent_goes_first<robust_pi_mutex>());
}

// The control: without inheritance the most urgent process waits in the same situation.
TEST_F(priority_inheritance, robust_mutex_does_not_bound_it) {
  EXPECT_FALSE(most_urgent_goes_first<robust_mutex>());
}

} // namespace
