// SPDX-License-Identifier: MIT
// deadbolt::condition_variable: what each operation says, between live threads and processes.
#include <waiting_support.hpp>

#include <mutex>
#include <stdexcept>
#include <thread>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using region_condition_variable = condition_variable_test;

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

// The waiters bit is cleared when no thread sleeps any more: a notify then makes no system call.
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

// Nobody ever notifies: without the bound the child's watchdog would end it.
TEST_F(region_condition_variable, change_without_a_notify_is_seen_within_the_bound) {
  child_process child = consumer();
  await_waiting(1);
  put(1);
  EXPECT_EQ(child.wait(), exited(0));
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
