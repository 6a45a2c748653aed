// SPDX-License-Identifier: MIT
// A waiter that has waited for 10 ms gets the lock before a thread that locks it again and again.
#include <region_support.hpp>

#include <deadbolt/shared_mutex.hpp>
#include <region/waiting.hpp>

#include <algorithm>
#include <atomic>
#include <thread>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  deadbolt::shared_mutex both;
  gate started;
  std::atomic<std::uint32_t> stop;
  std::atomic<std::uint32_t> sections; // of the greedy process
};

class region_long_wait : public ::testing::Test {
protected:
  region_of<board> shared;

  // A process that owns the lock nearly always: it comes back at once.
  template <class Lock>
  child_process greedy(Lock& lock) {
    return child_process{[this, &lock] {
      while (shared->stop.load() == 0) {
        if (name(lock.lock()) == "owner_died") lock.mark_consistent();
        ++shared->sections;
        shared->started.open();
        const auto end = steady_clock::now() + 1ms;
        while (steady_clock::now() < end) {
        }
        CHILD_EXPECT(name(lock.unlock()) == "released");
      }
    }};
  }

  // The most sections that a greedy process began during one of `rounds` waits. Sections, not
  // milliseconds: on a busy machine both processes wait for a processor.
  template <class Lock, class Unlock>
  std::uint32_t most_sections(int rounds, const Lock& lock, const Unlock& unlock) {
    std::uint32_t most = 0;
    for (int i = 0; i < rounds; ++i) {
      const std::uint32_t before = shared->sections;
      EXPECT_EQ(name(lock()), "acquired");
      most = std::max(most, shared->sections - before);
      EXPECT_EQ(name(unlock()), "released");
      std::this_thread::sleep_for(1ms); // so that the other process owns the lock again
    }
    std::printf("the greedy process began %u sections during a wait\n", most);
    return most;
  }

  // About ten sections until a waiter is a long one, and the one after that; some more if the woken
  // waiter gets no processor within stand_back. Without the rule the waits of case 55 lasted for
  // hundreds of sections, as long as the greedy process did not lose its processor.
  static constexpr std::uint32_t bound = 40;
};

TEST_F(region_long_wait, greedy_owner_does_not_keep_a_mutex) {
  child_process other = greedy(shared->lock);
  shared->started.pass("the greedy process");
  EXPECT_LT(most_sections(
                100, [&] { return shared->lock.lock(); }, [&] { return shared->lock.unlock(); }),
            bound);
  shared->stop = 1;
  EXPECT_EQ(other.wait(), exited(0));
}

TEST_F(region_long_wait, greedy_writer_does_not_keep_a_writer_or_a_reader_out) {
  child_process other = greedy(shared->both);
  shared->started.pass("the greedy process");
  EXPECT_LT(most_sections(
                50, [&] { return shared->both.lock(); }, [&] { return shared->both.unlock(); }),
            bound);
  EXPECT_LT(most_sections(
                50, [&] { return shared->both.lock_shared(); },
                [&] { return shared->both.unlock_shared(); }),
            bound);
  shared->stop = 1;
  EXPECT_EQ(other.wait(), exited(0));
}

// ---- what becomes of a reserved lock ----

std::uint64_t* word_in(deadbolt::mutex& lock) {
  return const_cast<std::uint64_t*>(lock.native_handle());
}
std::uint32_t* waiting_in(deadbolt::mutex& lock) {
  return reinterpret_cast<std::uint32_t*>(word_in(lock) + 1);
}

TEST_F(region_long_wait, owner_that_is_asked_reserves_the_lock) {
  __atomic_store_n(waiting_in(shared->lock), regions::some_wait, __ATOMIC_RELAXED); // not plain
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  child_process waiter{[this] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    shared->started.open();
    for (;;) pause();
  }};
  await("the reserve bit", [&] { return (word_of(shared->lock) & regions::word_reserve) != 0; });
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_NE(word_of(shared->lock), 0u) << "neither reserved nor the waiter's";
  shared->started.pass("the waiter");
}

// The plain owner's own release wakes the waiter, and reserves nothing; the next owner is not
// plain.
TEST_F(region_long_wait, plain_owner_is_asked_in_the_word_beside) {
  ASSERT_EQ(name(shared->other.lock()), "acquired"); // a member before its first lock of the other
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  ASSERT_NE(word_of(shared->lock) & regions::word_plain, 0u);
  child_process waiter{[this] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    shared->started.open();
    for (;;) pause();
  }};
  await("a long waiter", [&] {
    return __atomic_load_n(waiting_in(shared->lock), __ATOMIC_RELAXED) == regions::some_wait_long;
  });
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  if (name(shared->lock.try_lock()) == "acquired") { // it is faster than the waiter
    EXPECT_EQ(word_of(shared->lock) & regions::word_plain, 0u);
    EXPECT_EQ(name(shared->lock.unlock()), "released");
    EXPECT_NE(word_of(shared->lock), 0u) << "neither reserved nor the waiter's";
  }
  shared->started.pass("the waiter");
}

TEST_F(region_long_wait, reserved_lock_is_taken_when_no_long_waiter_comes) {
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  ASSERT_EQ(name(shared->lock.unlock()), "released");
  __atomic_store_n(word_in(shared->lock), regions::word_waiters, __ATOMIC_RELEASE);
  const auto start = steady_clock::now();
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_GE(steady_clock::now() - start, std::chrono::nanoseconds{regions::stand_back});
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(word_of(shared->lock), 0u);
}

TEST_F(region_long_wait, reserved_lock_is_free_for_a_try_and_at_a_deadline) {
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  ASSERT_EQ(name(shared->lock.unlock()), "released");
  __atomic_store_n(word_in(shared->lock), regions::word_waiters, __ATOMIC_RELEASE);
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  __atomic_store_n(word_in(shared->lock), regions::word_waiters, __ATOMIC_RELEASE);
  EXPECT_EQ(name(shared->lock.try_lock_for(-1s)), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

// Beside a process that holds the lock for 1 ms each time, twenty waiters are killed one after the
// other, each after 20 ms; that process still gets the lock.
TEST_F(region_long_wait, killed_long_waiters_hold_nobody_off) {
  child_process other = greedy(shared->lock);
  shared->started.pass("the greedy process");
  for (int i = 0; i < 20; ++i) {
    child_process waiter{[this] {
      for (;;) {
        if (name(shared->lock.lock()) == "owner_died") shared->lock.mark_consistent();
        shared->lock.unlock();
      }
    }};
    std::this_thread::sleep_for(20ms);
  } // killed
  shared->stop = 1;
  EXPECT_EQ(other.wait(), exited(0));
}

} // namespace
} // namespace deadbolt::testing
