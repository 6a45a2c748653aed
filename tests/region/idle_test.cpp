// SPDX-License-Identifier: MIT
// What idle waiters cost: how often they wake up by themselves to look.
#include <waiting_support.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <sys/syscall.h>
#include <thread>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// How often a thread of this process has gone to sleep by itself.
std::uint64_t sleeps_of(pid_t tid) {
  std::ifstream status{"/proc/self/task/" + std::to_string(tid) + "/status"};
  std::string word;
  std::uint64_t count = 0;
  while (status >> word && word != "voluntary_ctxt_switches:") {
  }
  EXPECT_TRUE(status >> count);
  return count;
}

// Threads of this process that wait until stop().
class waiters {
public:
  waiters(std::chrono::nanoseconds longest_sleep, unsigned count, bool of_condition) {
    if (longest_sleep != 0ns) {
      EXPECT_TRUE(shared_.handle().set_longest_sleep(longest_sleep));
    }
    tids_ = std::vector<std::atomic<pid_t>>(count);
    if (!of_condition) {
      EXPECT_EQ(name(shared_->lock.lock()), "acquired");
    }
    for (std::atomic<pid_t>& tid : tids_) {
      threads_.emplace_back([this, &tid, of_condition] {
        tid = static_cast<pid_t>(syscall(SYS_gettid));
        ASSERT_EQ(name(shared_->lock.lock()), "acquired");
        if (of_condition) {
          ASSERT_EQ(name(shared_->changed.wait(shared_->lock, [&] { return shared_->value != 0; })),
                    "awake");
        }
        ASSERT_EQ(name(shared_->lock.unlock()), "released");
      });
    }
    for (std::atomic<pid_t>& tid : tids_) await("a thread", [&] { return tid != 0; });
    if (of_condition) {
      await("the waiters", [&] {
        return (__atomic_load_n(shared_->changed.native_handle(), __ATOMIC_RELAXED) & 1) != 0;
      });
    }
  }
  // They end.
  void stop(bool of_condition) {
    if (of_condition) {
      EXPECT_EQ(name(shared_->lock.lock()), "acquired");
    }
    shared_->value = 1;
    EXPECT_EQ(name(shared_->lock.unlock()), "released");
    shared_->changed.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  [[nodiscard]] std::uint64_t sleeps() const {
    std::uint64_t sum = 0;
    for (const std::atomic<pid_t>& tid : tids_) sum += sleeps_of(tid);
    return sum;
  }

private:
  region_of<waiting_board> shared_{128};
  std::vector<std::atomic<pid_t>> tids_;
  std::vector<std::thread> threads_;
};

// Two groups of waiters for the same time: one looks every 100 ms, the other as often as usual.
void compare(bool of_condition, unsigned count) {
  waiters often{100ms, count, of_condition};
  waiters usual{0ns, count, of_condition};
  // Until both have come to wait, and the sleeps of those that wait for a lock are at their
  // longest.
  const std::uint64_t settled = often.sleeps() + std::uint64_t{count} * 20;
  await("the waiters' looks", [&] { return often.sleeps() >= settled; });

  const std::uint64_t often_before = often.sleeps();
  const std::uint64_t usual_before = usual.sleeps();
  const auto start = steady_clock::now();
  const std::uint64_t enough = often_before + std::uint64_t{count} * 30;
  await("the waiters' looks", [&] { return often.sleeps() >= enough; });
  const double seconds = std::chrono::duration<double>(steady_clock::now() - start).count();
  const std::uint64_t often_slept = often.sleeps() - often_before;
  const std::uint64_t usual_slept = usual.sleeps() - usual_before;
  std::printf("%u idle waiters of a %s: %.0f wake-ups a second by looks every 100 ms, %.0f as "
              "usual\n",
              count, of_condition ? "condition variable" : "mutex",
              static_cast<double>(often_slept) / seconds,
              static_cast<double>(usual_slept) / seconds);
  // A tenth, on a machine that does nothing else.
  EXPECT_LT(usual_slept * 3, often_slept);
  often.stop(of_condition);
  usual.stop(of_condition);
}

TEST(region_idle, waiters_of_a_condition_variable_wake_up_once_a_second) {
  compare(true, 100);
}
TEST(region_idle, waiters_of_a_mutex_wake_up_once_a_second) {
  compare(false, 20);
}

TEST(region_idle, longest_sleep_is_from_a_millisecond_to_an_hour) {
  region_of<waiting_board> shared;
  region& in = shared.handle();
  EXPECT_EQ(in.longest_sleep(), 1s) << "a memfd: this process has a membership lock";
  EXPECT_FALSE(in.set_longest_sleep(999us));
  EXPECT_FALSE(in.set_longest_sleep(1h + 1ns));
  EXPECT_FALSE(in.set_longest_sleep(-1s));
  EXPECT_EQ(in.longest_sleep(), 1s);
  EXPECT_TRUE(in.set_longest_sleep(1h));
  EXPECT_EQ(in.longest_sleep(), 1h);
  region closed;
  EXPECT_FALSE(closed.set_longest_sleep(1s));
  EXPECT_EQ(closed.longest_sleep(), 0s);
}

// A waiter sees a change without a notify when its sleep is over.
TEST(region_idle, waiter_looks_again_after_the_longest_sleep) {
  region_of<waiting_board> shared;
  ASSERT_TRUE(shared.handle().set_longest_sleep(1ms));
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  unsigned looks = 0;
  // At a look a second this would take 16 minutes.
  EXPECT_EQ(name(shared->changed.wait(shared->lock, [&] { return ++looks == 1000; })), "awake");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

// The kernel's mark ends a sleep, however long that may be.
TEST(region_idle, marked_death_is_noticed_at_once_after_a_long_wait) {
  region_of<waiting_board> shared;
  ASSERT_TRUE(shared.handle().set_longest_sleep(1h));
  child_process owner{[&] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    ++shared->waiting;
    shared->go.pass("its end");
  }};
  await("the owner", [&] { return shared->waiting == 1; });
  std::atomic<pid_t> tid = 0;
  std::thread waiter{[&] {
    tid = static_cast<pid_t>(syscall(SYS_gettid));
    EXPECT_EQ(name(shared->lock.lock()), "owner_died");
    EXPECT_TRUE(shared->lock.mark_consistent());
    EXPECT_EQ(name(shared->lock.unlock()), "released");
  }};
  // After some sleeps, each twice as long as the one before, the next one would last 3 s.
  await("the waiter", [&] { return tid != 0; });
  await_waiters(shared->lock);
  const std::uint64_t first = sleeps_of(tid);
  await("some sleeps", [&] { return sleeps_of(tid) >= first + 5; });
  const auto start = steady_clock::now();
  owner.kill();
  waiter.join();
  EXPECT_LT(steady_clock::now() - start, 2s);
}

} // namespace
} // namespace deadbolt::testing
