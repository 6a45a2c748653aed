// SPDX-License-Identifier: MIT
// deadbolt::condition_variable: what deaths leave to those who wait.
#include <waiting_support.hpp>

#include <csignal>
#include <mutex>

namespace deadbolt::testing {
namespace {

using region_waiting_death = condition_variable_test;
using board = waiting_board;

TEST_F(region_waiting_death, owner_that_dies_while_all_wait_is_told_to_a_waiter) {
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

TEST_F(region_waiting_death, unrepaired_mutex_is_not_held_after_a_wait) {
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

TEST_F(region_waiting_death, wait_by_who_was_told_and_did_not_repair_ends_the_mutex) {
  EXPECT_EQ(run_in_child([this] {
              static_cast<void>(shared->lock.lock().status());
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(testing::name(shared->lock.lock()), "owner_died");
  EXPECT_EQ(name(shared->changed.wait(shared->lock)), "not_recoverable");
}

TEST_F(region_waiting_death, dropped_owner_died_ends_the_process) {
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
TEST_F(region_waiting_death, memory_is_someone_elses_after_notify_all) {
  for (const bool dies : {false, true}) {
    region_of<board> one;
    child_process waiter{[&] {
      CHILD_EXPECT(testing::name(one->lock.lock()) == "acquired");
      ++one->waiting;
      // A sleep ends by itself after a while.
      static_cast<void>(one->changed.wait(one->lock, [&] { return one->value != 0; }).status());
    }};
    await("the waiter", [&] { return one->waiting == 1; });
    ASSERT_EQ(testing::name(one->lock.lock()), "acquired");
    one->value = 1;
    one->changed.notify_all();
    auto* memory = const_cast<std::uint32_t*>(one->changed.native_handle());
    __atomic_store_n(memory, 0xfeedu, __ATOMIC_RELAXED);
    if (dies) waiter.kill();
    ASSERT_EQ(testing::name(one->lock.unlock()), "released");
    EXPECT_EQ(waiter.wait(), dies ? killed_by(SIGKILL) : exited(0));
    EXPECT_EQ(*memory, 0xfeedu);
  }
}

} // namespace
} // namespace deadbolt::testing
