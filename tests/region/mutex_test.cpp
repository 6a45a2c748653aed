// SPDX-License-Identifier: MIT
// deadbolt::mutex: what each operation says, between live threads and processes.
#include <region_support.hpp>

#include <base/membarrier.hpp>
#include <deadbolt/with_recovery.hpp>
#include <futex_thread.hpp>
#include <region/waiting.hpp>
#include <seccomp_filter.hpp>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <thread>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  gate held;
  gate done;
  std::uint64_t value;
};

class region_mutex : public ::testing::Test {
protected:
  region_of<board> shared;

  // A process that holds the lock until it is killed.
  child_process holder() {
    return child_process{[this] {
      CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
      shared->held.open();
      for (;;) pause();
    }};
  }
};

TEST_F(region_mutex, zeroed_memory_is_an_unlocked_mutex) {
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(word_of(shared->lock), 0u);
}

TEST_F(region_mutex, owner_is_told_of_its_own_hold) {
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(name(shared->lock.lock()), "deadlock");
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  EXPECT_EQ(name(shared->lock.try_lock_for(1ms)), "deadlock");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_mutex, unlock_by_anyone_else_does_nothing) {
  EXPECT_EQ(name(shared->lock.unlock()), "not_owner");
  child_process child = holder();
  shared->held.pass("the holder");
  const std::uint64_t word = word_of(shared->lock);
  EXPECT_EQ(name(shared->lock.unlock()), "not_owner");
  EXPECT_EQ(word_of(shared->lock), word);
}

TEST_F(region_mutex, times_on_every_clock_end) {
  child_process child = holder();
  shared->held.pass("the holder");
  const auto start = steady_clock::now();
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  EXPECT_EQ(name(shared->lock.try_lock_for(20ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(steady_clock::now() + 20ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(system_clock::now() + 120ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(odd_clock::now() + 20ms)), "timed_out");
  EXPECT_GE(steady_clock::now() - start, 180ms);
  EXPECT_EQ(name(shared->lock.try_lock_for(-1s)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(steady_clock::time_point{})), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(system_clock::time_point::min())), "timed_out");
}

TEST_F(region_mutex, time_in_the_past_takes_a_free_lock_and_a_dead_owners) {
  EXPECT_EQ(name(shared->lock.try_lock_for(-1s)), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  {
    child_process child = holder();
    shared->held.pass("the holder");
  } // killed
  EXPECT_EQ(name(shared->lock.try_lock_for(-1s)), "owner_died");
}

TEST_F(region_mutex, waiter_is_woken_by_unlock) {
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  child_process waiter{[this] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    CHILD_EXPECT(name(shared->lock.unlock()) == "released");
  }};
  await_waiters(shared->lock);
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(waiter.wait(), exited(0));
}

TEST_F(region_mutex, owners_are_not_plain_for_a_while_after_a_waiters_barrier) {
  if (base::barrier_everywhere() != 0) GTEST_SKIP() << "membarrier is refused here";
  ASSERT_EQ(name(shared->other.lock()), "acquired"); // a member before its first lock of the other
  const auto is_plain = [&] {
    EXPECT_EQ(name(shared->lock.lock()), "acquired");
    return (word_of(shared->lock) & regions::word_plain) != 0;
  };
  ASSERT_TRUE(is_plain());
  std::thread waiter{[&] {
    EXPECT_EQ(name(shared->lock.lock()), "acquired");
    EXPECT_EQ(name(shared->lock.unlock()), "released");
  }};
  await_waiters(shared->lock);
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  waiter.join();
  int before = 0;
  for (; before <= 1000 && !is_plain(); ++before) {
    EXPECT_EQ(name(shared->lock.unlock()), "released");
  }
  EXPECT_EQ(before, regions::atomic_after_barrier);
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_mutex, killed_owner_is_followed_as_owner_died) {
  {
    child_process child = holder();
    shared->held.pass("the holder");
  }
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  EXPECT_TRUE(shared->lock.mark_consistent());
  EXPECT_FALSE(shared->lock.mark_consistent()) << "it is consistent already";
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_FALSE(shared->lock.mark_consistent()) << "nobody was told of a death";
}

TEST_F(region_mutex, unlock_without_repair_is_not_recoverable_for_all) {
  {
    child_process child = holder();
    shared->held.pass("the holder");
  }
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  child_process waiter{[this] { CHILD_EXPECT(name(shared->lock.lock()) == "not_recoverable"); }};
  await_waiters(shared->lock);
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(waiter.wait(), exited(0));
  EXPECT_EQ(name(shared->lock.lock()), "not_recoverable");
  EXPECT_EQ(name(shared->lock.try_lock()), "not_recoverable");
  EXPECT_EQ(name(shared->lock.unlock()), "not_owner");
}

TEST_F(region_mutex, second_death_before_repair_is_told_again) {
  {
    child_process child = holder();
    shared->held.pass("the holder");
  }
  EXPECT_EQ(run_in_child([this] {
              CHILD_EXPECT(name(shared->lock.lock()) == "owner_died");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  EXPECT_TRUE(shared->lock.mark_consistent());
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_mutex, standard_wrappers_and_with_recovery_fit) {
  {
    std::scoped_lock both{shared->lock, shared->other};
    EXPECT_NE(word_of(shared->other), 0u);
  }
  {
    child_process child = holder();
    shared->held.pass("the holder");
  }
  bool repaired = false;
  with_recovery account{shared->lock, [&] { return repaired = true; }};
  {
    std::unique_lock hold{account};
    EXPECT_TRUE(repaired);
  }
  EXPECT_EQ(word_of(shared->lock), 0u);
}

TEST_F(region_mutex, dropped_owner_died_ends_the_process) {
  {
    child_process child = holder();
    shared->held.pass("the holder");
  }
  EXPECT_EQ(run_in_child([this] { std::unique_lock hold{shared->lock}; }), killed_by(SIGABRT));
}

TEST_F(region_mutex, exclusion_holds_between_threads_of_many_processes) {
  constexpr std::uint64_t rounds = 20'000;
  const auto work = [this] {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
      const std::uint64_t seen = *const_cast<volatile std::uint64_t*>(&shared->value);
      *const_cast<volatile std::uint64_t*>(&shared->value) = seen + 1;
      CHILD_EXPECT(shared->lock.unlock() == unlock_status::released);
    }
  };
  run_in_three_processes(work);
  EXPECT_EQ(shared->value, 6 * rounds);
  EXPECT_EQ(live_members(shared.handle()), 0u);
}

TEST_F(region_mutex, handler_locks_in_the_middle_of_anything) {
  static board* at;
  at = &*shared;
  EXPECT_EQ(run_in_child([this] {
              CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
              struct sigaction action {};
              action.sa_handler = [](int) {
                if (name(at->other.lock()) != "acquired") _exit(97);
                at->value = at->value + 1;
                if (at->other.unlock() != unlock_status::released) _exit(98);
              };
              sigaction(SIGALRM, &action, nullptr);
              const itimerval often{{0, 50}, {0, 50}};
              setitimer(ITIMER_REAL, &often, nullptr);
              CHILD_EXPECT(shared->lock.unlock() == unlock_status::released);
              for (int i = 0; i < 200'000 || shared->value < 20; ++i) {
                CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
                CHILD_EXPECT(shared->lock.unlock() == unlock_status::released);
              }
            }),
            exited(0));
  EXPECT_GE(shared->value, 20u);
}

TEST_F(region_mutex, waiter_without_futex_waitv_is_late_by_the_bound_at_most) {
  child_process child = holder();
  shared->held.pass("the holder");
  child_process waiter{[this] {
    CHILD_EXPECT(refuse_system_call(449, SECCOMP_RET_ERRNO | ENOSYS));
    CHILD_EXPECT(name(shared->lock.lock()) == "owner_died");
  }};
  await_waiters(shared->lock);
  const auto start = steady_clock::now();
  child.kill();
  EXPECT_EQ(waiter.wait(), exited(0));
  EXPECT_LT(steady_clock::now() - start, 5s); // 100 ms, on a machine with other work
}

TEST_F(region_mutex, mutex_outside_every_region_is_a_clear_abort) {
  static deadbolt::mutex stray;
  EXPECT_EQ(run_in_child([] { static_cast<void>(stray.lock().status()); }), killed_by(SIGABRT));
  EXPECT_EQ(name(stray.unlock()), "not_owner");
}

} // namespace
} // namespace deadbolt::testing
