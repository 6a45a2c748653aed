// SPDX-License-Identifier: MIT
// A region with a condition variable, and who waits on it.
#ifndef DEADBOLT_TESTS_WAITING_SUPPORT_HPP
#define DEADBOLT_TESTS_WAITING_SUPPORT_HPP

#include <deadbolt/condition_variable.hpp>
#include <region_support.hpp>

namespace deadbolt::testing {

struct waiting_board {
  deadbolt::mutex lock;
  condition_variable changed;
  condition_variable room;
  std::uint64_t value;
  std::uint64_t taken[8];
  std::atomic<std::uint32_t> waiting;
  gate go;
};

inline std::string name(wait_result&& result) {
  return to_string(result.status());
}

class condition_variable_test : public ::testing::Test {
protected:
  region_of<waiting_board> shared;

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
    // Whoever locks the mutex after the waiters knows that they have released it.
    lock();
    unlock();
  }
};

} // namespace deadbolt::testing
#endif
