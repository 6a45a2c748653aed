// SPDX-License-Identifier: MIT
// Waiters whose wake was lost re-check within 100 ms, and WAITERS in the word makes the next unlock
// wake them.
#include <deadbolt/robust_mutex.hpp>

#include <child_process.hpp>
#include <futex_thread.hpp>
#include <print_results.hpp>
#include <shared_memory.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

namespace deadbolt::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct robust_mutex_waiters : ::testing::Test {
  static constexpr std::uint32_t another = 0x3ffffff0; // no thread's TID

  std::uint32_t& word() { return const_cast<std::uint32_t&>(*mutex->native_handle()); }
  void set(std::uint32_t value) { __atomic_store_n(&word(), value, __ATOMIC_SEQ_CST); }

  shared<robust_mutex> mutex;
};

// If a woken waiter dies on a kernel that does not then wake another, the word is free while
// another waiter sleeps. Without the re-check that waiter would sleep for ever.
TEST_F(robust_mutex_waiters, lost_wake_delays_a_waiter_by_a_bounded_time) {
  constexpr milliseconds longest_sleep{100};
  set(another);
  steady_clock::time_point got;
  std::uint32_t held_as = 0;
  known_thread waiter{[&] {
    if (mutex->lock() != lock_status::acquired) return;
    got = steady_clock::now();
    held_as = word();
    static_cast<void>(mutex->unlock());
  }};
  waiter.await_sleeping_on(&word());
  const auto freed = steady_clock::now();
  set(0);
  waiter.join();
  EXPECT_LT(got - freed, 50 * longest_sleep); // a busy machine may add to it
  EXPECT_EQ(held_as, static_cast<std::uint32_t>(waiter.tid()) | FUTEX_WAITERS)
      << "a waiter that slept may have left others asleep, and must leave WAITERS set";
}

TEST_F(robust_mutex_waiters, timed_out_waiter_leaves_the_mark_for_the_remaining_sleepers) {
  set(another);
  EXPECT_EQ(mutex->try_lock_for(milliseconds{1}), lock_status::timed_out);
  EXPECT_EQ(word(), another | FUTEX_WAITERS);
  set(0);
}

// A waiter that is woken when its time-out expires must pass the wake on. If it does not, the
// patient waiter waits until its re-check: in most rounds the test would see a wait of 95 ms or
// more. On a busy machine other waits are as long; the test counts late sleeps of 1 ms to allow for
// them.
TEST_F(robust_mutex_waiters, timed_waiters_do_not_starve_a_patient_one) {
  constexpr int rounds = 40;
  std::atomic<bool> stop = false;
  std::vector<std::unique_ptr<known_thread>> impatient;
  impatient.reserve(3);
  for (int i = 0; i < 3; ++i) {
    impatient.push_back(std::make_unique<known_thread>([&] {
      while (!stop) {
        if (mutex->try_lock_for(std::chrono::microseconds{50})) static_cast<void>(mutex->unlock());
      }
    }));
  }
  int long_waits = 0;
  int late_sleeps = 0;
  for (int i = 0; i < rounds; ++i) {
    const auto start = steady_clock::now();
    ASSERT_EQ(mutex->lock(), lock_status::acquired);
    const auto acquired = steady_clock::now();
    if (acquired - start >= milliseconds{95}) ++long_waits;
    sched_yield();
    ASSERT_EQ(mutex->unlock(), unlock_status::released);
    const auto asleep = steady_clock::now();
    std::this_thread::sleep_for(milliseconds{1});
    if (steady_clock::now() - asleep >= milliseconds{20}) ++late_sleeps;
  }
  stop = true;
  impatient.clear();
  EXPECT_LT(long_waits, rounds / 2 + late_sleeps);
}

// A holder, several waiters, and waiters that are killed at random: no waiter is stranded.
TEST_F(robust_mutex_waiters, killed_waiters_strand_nobody) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(mutex->lock(), lock_status::acquired);
    std::vector<std::unique_ptr<child_process>> waiters;
    waiters.reserve(4);
    for (int i = 0; i < 4; ++i) {
      waiters.push_back(std::make_unique<child_process>([&] {
        const lock_status status = mutex->lock().status();
        CHILD_EXPECT(status == lock_status::acquired || status == lock_status::owner_died);
        CHILD_EXPECT(mutex->mark_consistent() == (status == lock_status::owner_died));
        CHILD_EXPECT(mutex->unlock() == unlock_status::released);
      }));
      await_sleeping(waiters.back()->pid(), waiters.back()->pid(), &word());
    }
    ASSERT_EQ(mutex->unlock(), unlock_status::released);
    waiters[0]->kill(); // the first in the queue, which the unlock woke
    for (std::size_t i = 1; i < waiters.size(); ++i) EXPECT_EQ(waiters[i]->wait(), exited(0));
    const lock_status status = mutex->lock().status();
    EXPECT_EQ(mutex->mark_consistent(), status == lock_status::owner_died);
    EXPECT_EQ(mutex->unlock(), unlock_status::released);
  }
}

} // namespace
} // namespace deadbolt::testing
