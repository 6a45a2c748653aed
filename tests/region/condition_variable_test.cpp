// SPDX-License-Identifier: MIT
// deadbolt::condition_variable: what each operation says, between live threads and processes.
#include <region_support.hpp>

#include <deadbolt/condition_variable.hpp>
#include <futex_thread.hpp>

#include <csignal>
#include <mutex>
#include <stdexcept>
#include <sys/mman.h>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

struct board {
  deadbolt::mutex lock;
  condition_variable changed;
  condition_variable room;
  std::uint64_t value;
  std::uint64_t taken[8];
  std::atomic<std::uint32_t> waiting;
  gate go;
};

// A clock that no futex knows.
struct odd_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<odd_clock>;
  static constexpr bool is_steady = false;
  static time_point now() {
    return time_point{std::chrono::duration_cast<duration>(steady_clock::now().time_since_epoch())};
  }
};

std::string name(wait_result&& result) {
  return to_string(result.status());
}

class region_condition_variable : public ::testing::Test {
protected:
  region_of<board> shared;

  void lock() { ASSERT_EQ(testing::name(shared->lock.lock()), "acquired"); }
  void unlock() { ASSERT_EQ(testing::name(shared->lock.unlock()), "released"); }
  // A process that waits for a value, takes it away and ends.
  child_process consumer() {
    return child_process{[this] {
      CHILD_EXPECT(testing::name(shared->lock.lock()) == "acquired");
      ++shared->waiting;
      CHILD_EXPECT(name(shared->changed.wait(shared->lock, [&] { return shared->value != 0; })) ==
                   "awake");
      --shared->value;
      CHILD_EXPECT(testing::name(shared->lock.unlock()) == "released");
    }};
  }
  void put(std::uint64_t count) {
    lock();
    shared->value += count;
    unlock();
  }
  void await_waiting(std::uint32_t count) {
    await("waiters", [&] { return shared->waiting == count; });
    // Who has the mutex after them: they have let it go.
    lock();
    unlock();
  }
};

TEST_F(region_condition_variable, wait_with_a_true_predicate_does_not_sleep) {
  lock();
  EXPECT_EQ(name(shared->changed.wait(shared->lock, [] { return true; })), "awake");
  EXPECT_EQ(*shared->changed.native_handle(), 0u) << "nobody was about to sleep";
  unlock();
}

TEST_F(region_condition_variable, wait_by_who_does_not_hold_the_mutex_does_nothing) {
  EXPECT_EQ(name(shared->changed.wait(shared->lock)), "not_owner");
  EXPECT_EQ(name(shared->changed.wait_for(shared->lock, 10s)), "not_owner");
  std::unique_lock<deadbolt::mutex> hold{shared->lock, std::defer_lock};
  EXPECT_EQ(name(shared->changed.wait(hold)), "not_owner");
}

TEST_F(region_condition_variable, notify_one_wakes_a_waiter) {
  child_process child = consumer();
  await_waiting(1);
  put(1);
  shared->changed.notify_one();
  EXPECT_EQ(child.wait(), exited(0));
  EXPECT_EQ(shared->value, 0u);
}

TEST_F(region_condition_variable, notify_all_wakes_all) {
  child_process a = consumer();
  child_process b = consumer();
  child_process c = consumer();
  await_waiting(3);
  put(3);
  shared->changed.notify_all();
  EXPECT_EQ(a.wait(), exited(0));
  EXPECT_EQ(b.wait(), exited(0));
  EXPECT_EQ(c.wait(), exited(0));
  EXPECT_EQ(shared->value, 0u);
}

// The waiters bit goes when nobody sleeps any more: a notify then makes no system call.
TEST_F(region_condition_variable, notify_without_waiters_leaves_the_word_alone) {
  shared->changed.notify_one();
  shared->changed.notify_all();
  EXPECT_EQ(*shared->changed.native_handle(), 0u);
  lock();
  EXPECT_EQ(name(shared->changed.wait_for(shared->lock, 1ms)), "timed_out");
  unlock();
  EXPECT_EQ(*shared->changed.native_handle() & 1, 1u);
  shared->changed.notify_one();
  const std::uint32_t quiet = *shared->changed.native_handle();
  EXPECT_EQ(quiet & 1, 0u);
  shared->changed.notify_one();
  shared->changed.notify_all();
  EXPECT_EQ(*shared->changed.native_handle(), quiet);
}

TEST_F(region_condition_variable, times_on_every_clock_end_with_the_mutex_held) {
  lock();
  const auto start = steady_clock::now();
  const auto never = [] { return false; };
  deadbolt::mutex& m = shared->lock;
  EXPECT_EQ(name(shared->changed.wait_for(m, 20ms)), "timed_out");
  EXPECT_EQ(name(shared->changed.wait_for(m, 120ms, never)), "timed_out");
  EXPECT_EQ(name(shared->changed.wait_until(m, steady_clock::now() + 20ms, never)), "timed_out");
  EXPECT_EQ(name(shared->changed.wait_until(m, system_clock::now() + 20ms, never)), "timed_out");
  EXPECT_EQ(name(shared->changed.wait_until(m, odd_clock::now() + 20ms, never)), "timed_out");
  EXPECT_GE(steady_clock::now() - start, 190ms);
  EXPECT_EQ(name(shared->changed.wait_for(m, -1s)), "timed_out");
  EXPECT_EQ(name(shared->changed.wait_until(m, system_clock::time_point::min(), never)),
            "timed_out");
  EXPECT_EQ(name(shared->changed.wait_until(m, steady_clock::time_point{}, [] { return true; })),
            "awake");
  unlock();
}

// Nobody ever notifies: the bounded sleep looks.
TEST_F(region_condition_variable, change_without_a_notify_is_seen_within_the_bound) {
  child_process child = consumer();
  await_waiting(1);
  const auto start = steady_clock::now();
  put(1);
  EXPECT_EQ(child.wait(), exited(0));
  EXPECT_LT(steady_clock::now() - start, 5s); // 100 ms, on a machine with other work
}

TEST_F(region_condition_variable, unique_lock_holds_the_mutex_again) {
  {
    std::unique_lock hold{shared->lock};
    EXPECT_EQ(name(shared->changed.wait_for(hold, 1ms)), "timed_out");
    EXPECT_EQ(name(shared->changed.wait(hold, [] { return true; })), "awake");
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_THROW(static_cast<void>(shared->changed.wait(
                     hold, []() -> bool { throw std::runtime_error{"predicate"}; })),
                 std::runtime_error);
    EXPECT_TRUE(hold.owns_lock());
  }
  EXPECT_EQ(word_of(shared->lock), 0u);
}

TEST_F(region_condition_variable, owner_that_dies_while_all_wait_is_told_to_a_waiter) {
  child_process waiter{[this] {
    std::unique_lock hold{shared->lock};
    ++shared->waiting;
    wait_result result = shared->changed.wait(hold, [&] { return shared->value == 2; });
    CHILD_EXPECT(name(std::move(result)) == "owner_died");
    CHILD_EXPECT(hold.owns_lock());
    shared->value = 2; // the repair
    CHILD_EXPECT(shared->lock.mark_consistent());
    CHILD_EXPECT(name(shared->changed.wait(hold, [&] { return shared->value == 2; })) == "awake");
  }};
  await_waiting(1);
  EXPECT_EQ(run_in_child([this] {
              static_cast<void>(shared->lock.lock().status());
              shared->value = 1;
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(waiter.wait(), exited(0));
  EXPECT_EQ(word_of(shared->lock), 0u);
}

TEST_F(region_condition_variable, unrepaired_mutex_is_not_held_after_a_wait) {
  child_process waiter{[this] {
    std::unique_lock hold{shared->lock};
    ++shared->waiting;
    CHILD_EXPECT(name(shared->changed.wait(hold, [] { return false; })) == "not_recoverable");
    CHILD_EXPECT(!hold.owns_lock());
  }};
  await_waiting(1);
  lock();
  // As its waiter will find it: an owner died, and the next one did not repair.
  __atomic_store_n(const_cast<std::uint64_t*>(shared->lock.native_handle()),
                   regions::word_not_recoverable, __ATOMIC_RELEASE);
  shared->changed.notify_all();
  EXPECT_EQ(waiter.wait(), exited(0));
}

TEST_F(region_condition_variable, wait_by_who_was_told_and_did_not_repair_ends_the_mutex) {
  EXPECT_EQ(run_in_child([this] {
              static_cast<void>(shared->lock.lock().status());
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(testing::name(shared->lock.lock()), "owner_died");
  EXPECT_EQ(name(shared->changed.wait(shared->lock)), "not_recoverable");
}

TEST_F(region_condition_variable, dropped_owner_died_ends_the_process) {
  child_process waiter{[this] {
    std::unique_lock hold{shared->lock};
    ++shared->waiting;
    if (shared->changed.wait(hold, [] { return false; })) _exit(1);
  }};
  await_waiting(1);
  EXPECT_EQ(run_in_child([this] {
              static_cast<void>(shared->lock.lock().status());
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(waiter.wait(), killed_by(SIGABRT));
}

// Nothing is written when a waiter that was notified wakes, or dies, later.
TEST_F(region_condition_variable, memory_is_someone_elses_after_notify_all) {
  for (const bool dies : {false, true}) {
    region_of<board> one;
    child_process waiter{[&] {
      CHILD_EXPECT(testing::name(one->lock.lock()) == "acquired");
      ++one->waiting;
      static_cast<void>(one->changed.wait(one->lock).status());
    }};
    await("the waiter", [&] { return one->waiting == 1; });
    ASSERT_EQ(testing::name(one->lock.lock()), "acquired");
    one->changed.notify_all();
    auto* memory = const_cast<std::uint32_t*>(one->changed.native_handle());
    __atomic_store_n(memory, 0xfeedu, __ATOMIC_RELAXED);
    if (dies) waiter.kill();
    ASSERT_EQ(testing::name(one->lock.unlock()), "released");
    EXPECT_EQ(waiter.wait(), dies ? killed_by(SIGKILL) : exited(0));
    EXPECT_EQ(*memory, 0xfeedu);
  }
}

// A bounded buffer between threads of many processes: each value arrives once.
TEST_F(region_condition_variable, every_item_arrives_once) {
  constexpr std::uint64_t items = 6'000; // of each of three producers
  constexpr std::uint64_t slots = 4;
  const auto produce = [this] {
    for (std::uint64_t i = 0; i < items; ++i) {
      std::unique_lock hold{shared->lock};
      CHILD_EXPECT(shared->room.wait(hold, [&] { return shared->value < slots; }));
      ++shared->value;
      hold.unlock();
      shared->changed.notify_one();
    }
  };
  const auto consume = [this](int me) {
    for (std::uint64_t i = 0; i < items; ++i) {
      std::unique_lock hold{shared->lock};
      CHILD_EXPECT(shared->changed.wait(hold, [&] { return shared->value > 0; }));
      --shared->value;
      ++shared->taken[me];
      if (i % 2 == 0) {
        shared->room.notify_one();
      } else {
        hold.unlock();
        shared->room.notify_all();
      }
    }
  };
  child_process a{[&] {
    std::thread second{produce};
    consume(0);
    second.join();
  }};
  child_process b{[&] {
    std::thread second{produce};
    consume(1);
    second.join();
  }};
  child_process c{[&] {
    std::thread second{[&] { consume(2); }};
    produce();
    second.join();
  }};
  EXPECT_EQ(a.wait(), exited(0));
  EXPECT_EQ(b.wait(), exited(0));
  EXPECT_EQ(c.wait(), exited(0));
  EXPECT_EQ(shared->value, 0u);
  EXPECT_EQ(shared->taken[0] + shared->taken[1] + shared->taken[2], 3 * items);
}

TEST_F(region_condition_variable, any_word_in_shared_memory_is_borne) {
  lock();
  auto* memory = const_cast<std::uint32_t*>(shared->changed.native_handle());
  for (const std::uint32_t word :
       {0u, 1u, 2u, 0x7fffffffu, 0x80000001u, 0xfffffffeu, 0xffffffffu}) {
    __atomic_store_n(memory, word, __ATOMIC_RELAXED);
    EXPECT_EQ(name(shared->changed.wait_for(shared->lock, 1ms)), "timed_out");
    shared->changed.notify_one();
    EXPECT_EQ(*memory & 1, 0u);
    __atomic_store_n(memory, word, __ATOMIC_RELAXED);
    shared->changed.notify_all();
    EXPECT_EQ(*memory & 1, 0u);
  }
  unlock();
}

} // namespace
} // namespace deadbolt::testing
