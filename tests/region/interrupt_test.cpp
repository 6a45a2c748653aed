// SPDX-License-Identifier: MIT
// Waits that end when they are told to: by a signal, and by a stop flag.
#include <stepped_child.hpp>
#include <waiting_support.hpp>

#include <base/futex.hpp>
#include <base/spin.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/region.h>
#include <deadbolt/shared_mutex.hpp>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct board {
  deadbolt::mutex lock;
  deadbolt::shared_mutex shared_lock;
  deadbolt::counting_semaphore<1> permit;
  deadbolt::counting_semaphore<100> permits;
  deadbolt::mutex own;
  deadbolt::condition_variable changed;
  deadbolt::stop_flag stop;
  std::atomic<std::uint32_t> value;
  std::atomic<std::uint32_t> waiting;
};

void handle(int) {}

void install_handler(int flags) {
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = flags;
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
}

// In futex or futex_waitv.
bool is_asleep(pid_t tid) {
  std::ifstream file{"/proc/self/task/" + std::to_string(tid) + "/syscall"};
  long number = -1;
  file >> number;
  return number == SYS_futex || number == base::futex_waitv_number;
}

// Every form of an interruptible wait, on locks that the main thread holds.
struct form {
  const char* what;
  std::string (*wait)(board&, const stop_flag*);
};
const form forms[] = {
    {"mutex", [](board& b, const stop_flag* s) { return name(b.lock.lock_interruptible(s)); }},
    {"mutex with a time",
     [](board& b, const stop_flag* s) { return name(b.lock.lock_interruptible_for(1h, s)); }},
    {"writer",
     [](board& b, const stop_flag* s) { return name(b.shared_lock.lock_interruptible(s)); }},
    {"reader",
     [](board& b, const stop_flag* s) { return name(b.shared_lock.lock_shared_interruptible(s)); }},
    {"reader with a time",
     [](board& b, const stop_flag* s) {
       return name(b.shared_lock.lock_shared_interruptible_for(1h, s));
     }},
    {"semaphore",
     [](board& b, const stop_flag* s) { return name(b.permit.acquire_interruptible(s)); }},
    {"semaphore of many permits",
     [](board& b, const stop_flag* s) { return name(b.permits.acquire_interruptible_for(1h, s)); }},
    {"condition variable",
     [](board& b, const stop_flag* s) {
       CHILD_EXPECT(name(b.own.lock()) == "acquired");
       std::string result =
           name(b.changed.wait_interruptible(b.own, s, [&] { return b.value == 1; }));
       CHILD_EXPECT(name(b.own.unlock()) == "released");
       return result;
     }},
    {"condition variable with a time",
     [](board& b, const stop_flag* s) {
       CHILD_EXPECT(name(b.own.lock()) == "acquired");
       std::string result = name(b.changed.wait_interruptible_until(
           b.own, steady_clock::now() + 1h, s, [&] { return b.value == 1; }));
       CHILD_EXPECT(name(b.own.unlock()) == "released");
       return result;
     }},
};

class region_interrupt : public ::testing::TestWithParam<form> {
protected:
  region_of<board> shared;

  void SetUp() override {
    // A wait that goes on although it was told to end would last an hour.
    ASSERT_TRUE(shared.handle().set_longest_sleep(1h));
    ASSERT_EQ(name(shared->lock.lock()), "acquired");
    ASSERT_EQ(name(shared->shared_lock.lock()), "acquired");
    ASSERT_EQ(name(shared->permit.acquire()), "acquired");
    for (int i = 0; i < 100; ++i) ASSERT_EQ(name(shared->permits.acquire()), "acquired");
  }

  // The result of a wait that `end` is to end once it sleeps.
  template <class End>
  std::string result_of(const stop_flag* stop, End&& end) {
    std::atomic<pid_t> tid{0};
    std::atomic<bool> done{false};
    std::string result;
    std::thread waiter{[&] {
      tid = gettid();
      result = GetParam().wait(*shared, stop);
      done = true;
    }};
    await("the waiter's sleep", [&] { return tid != 0 && is_asleep(tid); });
    end(tid.load(), done);
    waiter.join();
    return result;
  }
};

TEST_P(region_interrupt, signal_handler_ends_the_wait) {
  install_handler(0);
  EXPECT_EQ(result_of(nullptr,
                      [](pid_t tid, const std::atomic<bool>& done) {
                        // A handler that runs while the thread does not sleep is not noticed.
                        while (!done) {
                          tgkill(getpid(), tid, SIGUSR1);
                          std::this_thread::sleep_for(1ms);
                        }
                      }),
            "interrupted");
}

TEST_P(region_interrupt, handler_that_restarts_calls_does_not_end_the_wait) {
  install_handler(SA_RESTART);
  EXPECT_NE(result_of(nullptr,
                      [this](pid_t tid, const std::atomic<bool>& done) {
                        for (int i = 0; i < 50; ++i) {
                          tgkill(getpid(), tid, SIGUSR1);
                          std::this_thread::sleep_for(1ms);
                        }
                        EXPECT_FALSE(done);
                        EXPECT_EQ(name(shared->lock.unlock()), "released");
                        EXPECT_EQ(name(shared->shared_lock.unlock()), "released");
                        EXPECT_EQ(name(shared->permit.release()), "released");
                        EXPECT_EQ(name(shared->permits.release()), "released");
                        shared->value = 1;
                        shared->changed.notify_all();
                      }),
            "interrupted");
}

TEST_P(region_interrupt, stop_flag_ends_the_wait) {
  EXPECT_EQ(
      result_of(&shared->stop, [this](pid_t, const std::atomic<bool>&) { shared->stop.set(); }),
      "interrupted");
  EXPECT_TRUE(shared->stop.is_set());
}

TEST_P(region_interrupt, stop_flag_in_the_region_is_set_by_another_process) {
  EXPECT_EQ(result_of(&shared->stop,
                      [this](pid_t, const std::atomic<bool>&) {
                        EXPECT_EQ(run_in_child([this] { shared->stop.set(); }), exited(0));
                      }),
            "interrupted");
}

TEST_P(region_interrupt, flag_that_is_set_already_ends_the_wait_at_once) {
  shared->stop.set();
  std::thread waiter{[&] { EXPECT_EQ(GetParam().wait(*shared, &shared->stop), "interrupted"); }};
  waiter.join();
  shared->stop.clear();
  EXPECT_FALSE(shared->stop.is_set());
}

INSTANTIATE_TEST_SUITE_P(forms, region_interrupt, ::testing::ValuesIn(forms),
                         [](const auto& param) {
                           std::string name = param.param.what;
                           for (char& c : name)
                             if (c == ' ') c = '_';
                           return name;
                         });

TEST(region_interrupt_free, lock_that_is_free_is_acquired_whatever_the_flag) {
  region_of<board> shared;
  shared->stop.set();
  EXPECT_EQ(name(shared->lock.lock_interruptible(&shared->stop)), "acquired");
  EXPECT_EQ(name(shared->shared_lock.lock_interruptible(&shared->stop)), "acquired");
  EXPECT_EQ(name(shared->permit.acquire_interruptible(&shared->stop)), "acquired");
  EXPECT_EQ(name(shared->lock.lock_interruptible(&shared->stop)), "deadlock");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST(region_interrupt_free, plain_lock_is_not_ended_by_signals) {
  install_handler(0);
  region_of<board> shared;
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  std::atomic<pid_t> tid{0};
  std::thread waiter{[&] {
    tid = gettid();
    EXPECT_EQ(name(shared->lock.lock()), "acquired");
    EXPECT_EQ(name(shared->lock.unlock()), "released");
  }};
  await("the waiter's sleep", [&] { return tid != 0 && is_asleep(tid); });
  for (int i = 0; i < 20; ++i) tgkill(getpid(), tid, SIGUSR1);
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  waiter.join();
}

// A notify that reached a waiter is not lost when the waiter is told to stop at the same time: it
// says `awake` and takes the item, or another waiter is woken.
TEST(region_interrupt_race, notify_and_stop_at_once_lose_no_item) {
  region_of<board> shared;
  ASSERT_TRUE(shared.handle().set_longest_sleep(1h));
  unsigned stopped = 0;
  for (unsigned round = 0; round < 300; ++round) {
    shared->value = 0;
    shared->waiting = 0;
    shared->stop.clear();
    std::atomic<unsigned> taken{0};
    std::atomic<unsigned> ended{0};
    const auto take = [&] {
      --shared->value;
      ++taken;
    };
    std::thread may_stop{[&] {
      ASSERT_EQ(name(shared->own.lock()), "acquired");
      ++shared->waiting;
      std::string woken = "awake";
      while (woken == "awake" && shared->value == 0)
        woken = name(shared->changed.wait_interruptible(shared->own, &shared->stop));
      // As the caller of a wait may do: it does not look at the data after an interruption.
      if (woken == "awake") {
        take();
      } else {
        EXPECT_EQ(woken, "interrupted");
        ++ended;
      }
      ASSERT_EQ(name(shared->own.unlock()), "released");
    }};
    std::thread waits{[&] {
      ASSERT_EQ(name(shared->own.lock()), "acquired");
      ++shared->waiting;
      EXPECT_EQ(name(shared->changed.wait(shared->own, [&] { return shared->value != 0; })),
                "awake");
      take();
      ASSERT_EQ(name(shared->own.unlock()), "released");
    }};
    await("the waiters", [&] { return shared->waiting == 2; });
    std::thread stops{[&] { shared->stop.set(); }};
    ASSERT_EQ(name(shared->own.lock()), "acquired");
    ++shared->value;
    ASSERT_EQ(name(shared->own.unlock()), "released");
    shared->changed.notify_one();
    stops.join();
    await("the item to be taken", [&] { return taken == 1; });
    // The other one gets an item of its own, or has ended.
    ASSERT_EQ(name(shared->own.lock()), "acquired");
    if (ended == 0) ++shared->value;
    ASSERT_EQ(name(shared->own.unlock()), "released");
    shared->changed.notify_all();
    if (ended != 0) ++stopped;
    may_stop.join();
    waits.join();
  }
  std::printf("%u of 300 waiters were stopped\n", stopped);
}

// A waiter that gives up is killed in each state. The next unlock wakes the other waiter.
TEST(region_interrupt_kill, withdrawing_waiter_killed_anywhere_strands_nobody) {
  region_of<board> shared;
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  shared->stop.set();
  std::uint32_t ended = 0;
  change_counter changes;
  const kill_points points = kill_in_every_state(
      [&] {
        CHILD_EXPECT(name(shared.handle().attach()) == "attached");
        base::more_than_one_cpu = false; // no thousand steps of spinning
      },
      [&] {
        if (shared->lock.lock_interruptible(&shared->stop).status() == lock_status::interrupted)
          shared->value = 1;
      },
      [&] {
        return changes.look({{&*shared, sizeof(board)}});
      },
      [&](std::uint32_t instructions) {
        child_process waiter{[&] {
          CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
          CHILD_EXPECT(name(shared->lock.unlock()) == "released");
        }};
        await_waiters(shared->lock);
        EXPECT_EQ(name(shared->lock.unlock()), "released") << "killed after " << instructions;
        EXPECT_EQ(waiter.wait(), exited(0)) << "killed after " << instructions;
        EXPECT_EQ(name(shared->lock.lock()), "acquired") << "killed after " << instructions;
        ended += shared->value.exchange(0);
        return !::testing::Test::HasFailure();
      });
  std::printf("withdrawal: %u instructions, killed in each of %u states\n", points.instructions,
              points.killed);
  EXPECT_GE(points.killed, 5u);
  EXPECT_GT(ended, 0u);
}

TEST(region_interrupt_c, c_functions_do_the_same) {
  region_of<board> shared;
  deadbolt_stop_flag stop{};
  EXPECT_FALSE(deadbolt_stop_flag_is_set(&stop));
  deadbolt_stop_flag_set(&stop);
  EXPECT_TRUE(deadbolt_stop_flag_is_set(&stop));
  auto* lock = reinterpret_cast<deadbolt_mutex*>(&shared->lock);
  auto* rw = reinterpret_cast<deadbolt_shared_mutex*>(&shared->shared_lock);
  auto* permit = reinterpret_cast<deadbolt_permit*>(&shared->permit);
  auto* changed = reinterpret_cast<deadbolt_condition_variable*>(&shared->changed);
  ASSERT_EQ(deadbolt_mutex_lock_interruptible(lock, CLOCK_MONOTONIC, nullptr, &stop),
            DEADBOLT_ACQUIRED);
  ASSERT_EQ(deadbolt_shared_mutex_lock_interruptible(rw, CLOCK_MONOTONIC, nullptr, &stop),
            DEADBOLT_ACQUIRED);
  ASSERT_EQ(
      deadbolt_counting_semaphore_acquire_interruptible(permit, 1, CLOCK_MONOTONIC, nullptr, &stop),
      DEADBOLT_ACQUIRED);
  EXPECT_EQ(deadbolt_condition_variable_wait_interruptible(changed, lock, CLOCK_MONOTONIC, nullptr,
                                                           &stop),
            DEADBOLT_WAIT_INTERRUPTED);
  std::thread other{[&] {
    const timespec far{.tv_sec = 1'000'000'000, .tv_nsec = 0};
    EXPECT_EQ(deadbolt_mutex_lock_interruptible(lock, CLOCK_MONOTONIC, &far, &stop),
              DEADBOLT_INTERRUPTED);
    EXPECT_EQ(deadbolt_shared_mutex_lock_interruptible(rw, CLOCK_MONOTONIC, nullptr, &stop),
              DEADBOLT_INTERRUPTED);
    EXPECT_EQ(deadbolt_shared_mutex_lock_shared_interruptible(rw, CLOCK_REALTIME, nullptr, &stop),
              DEADBOLT_INTERRUPTED);
    EXPECT_EQ(deadbolt_counting_semaphore_acquire_interruptible(permit, 1, CLOCK_MONOTONIC, nullptr,
                                                                &stop),
              DEADBOLT_INTERRUPTED);
    const timespec past{.tv_sec = 1, .tv_nsec = 0};
    deadbolt_stop_flag unset{};
    EXPECT_EQ(deadbolt_mutex_lock_interruptible(lock, CLOCK_MONOTONIC, &past, &unset),
              DEADBOLT_TIMED_OUT);
  }};
  other.join();
  deadbolt_stop_flag_clear(&stop);
  EXPECT_FALSE(deadbolt_stop_flag_is_set(&stop));
  EXPECT_STREQ(deadbolt_lock_status_name(DEADBOLT_INTERRUPTED), "interrupted");
  EXPECT_STREQ(deadbolt_wait_status_name(DEADBOLT_WAIT_INTERRUPTED), "interrupted");
}

} // namespace
} // namespace deadbolt::testing
