// SPDX-License-Identifier: MIT
// deadbolt::condition_variable with locks other than a region's mutex.
#include <waiting_support.hpp>

#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <deadbolt/with_recovery.hpp>

#include <csignal>
#include <mutex>
#include <stdexcept>
#include <system_error>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;

template <class Lock>
struct board {
  Lock lock;
  condition_variable changed;
  std::uint64_t value;
  std::uint64_t half;
  std::atomic<std::uint32_t> waiting;
};

template <class Lock>
class region_waiting_locks : public ::testing::Test {
protected:
  region_of<board<Lock>> shared_;

  // The waiter counts itself with the lock held: it has released the lock when this takes it.
  void await_waiter() {
    await("the waiter", [&] { return shared_->waiting == 1; });
    ASSERT_EQ(name(shared_->lock.lock()), "acquired");
    ASSERT_EQ(name(shared_->lock.unlock()), "released");
  }

  // An owner of the lock changes the value, notifies the waiter and is killed. The waiter then
  // ends by itself.
  void die_as_owner(child_process& waiter, std::uint64_t value = 0) {
    await_waiter();
    EXPECT_EQ(run_in_child([&] {
                static_cast<void>(shared_->lock.lock().status());
                shared_->value = value;
                shared_->changed.notify_one();
                raise(SIGKILL);
              }),
              killed_by(SIGKILL));
    EXPECT_EQ(waiter.wait(), exited(0));
  }
};
using locks = ::testing::Types<mutex, shared_mutex, robust_mutex, robust_pi_mutex>;
TYPED_TEST_SUITE(region_waiting_locks, locks);

TYPED_TEST(region_waiting_locks, waiter_is_notified) {
  auto& shared = this->shared_;
  child_process waiter{[&] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    ++shared->waiting;
    CHILD_EXPECT(name(shared->changed.wait(shared->lock, [&] { return shared->value == 1; })) ==
                 "awake");
    CHILD_EXPECT(name(shared->lock.unlock()) == "released");
  }};
  this->await_waiter();
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  shared->value = 1;
  ASSERT_EQ(name(shared->lock.unlock()), "released");
  shared->changed.notify_one();
  EXPECT_EQ(waiter.wait(), exited(0));
}

TYPED_TEST(region_waiting_locks, owner_that_dies_is_told_to_the_waiter) {
  auto& shared = this->shared_;
  child_process waiter{[&] {
    std::unique_lock hold{shared->lock};
    ++shared->waiting;
    CHILD_EXPECT(name(shared->changed.wait(hold, [&] { return shared->value == 1; })) ==
                 "owner_died");
    CHILD_EXPECT(hold.owns_lock());
    CHILD_EXPECT(shared->lock.mark_consistent());
  }};
  this->die_as_owner(waiter);
}

TYPED_TEST(region_waiting_locks, wait_without_the_lock_does_nothing) {
  auto& shared = this->shared_;
  EXPECT_EQ(name(shared->changed.wait(shared->lock)), "not_owner");
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(name(shared->changed.wait_for(shared->lock, 1ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

// With a view that repairs, no predicate sees half-written data, and no status needs a look.
TYPED_TEST(region_waiting_locks, view_with_recovery_repairs_before_the_predicate) {
  auto& shared = this->shared_;
  const auto repair = [&] {
    shared->half = shared->value;
    return true;
  };
  child_process waiter{[&] {
    with_recovery view{shared->lock, repair};
    std::unique_lock hold{view};
    ++shared->waiting;
    CHILD_EXPECT(shared->changed.wait(hold, [&] {
      CHILD_EXPECT(shared->half == shared->value);
      return shared->value == 1;
    }));
    CHILD_EXPECT(hold.owns_lock());
  }};
  this->die_as_owner(waiter, 1);
  EXPECT_EQ(shared->half, 1u);
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TYPED_TEST(region_waiting_locks, failed_recovery_throws_out_of_the_wait_without_the_lock) {
  auto& shared = this->shared_;
  child_process waiter{[&] {
    with_recovery view{shared->lock, [] { return false; }};
    std::unique_lock hold{view};
    ++shared->waiting;
    bool threw = false;
    try {
      static_cast<void>(shared->changed.wait(hold, [] { return false; }));
    } catch (const std::system_error& error) {
      threw = error.code() == std::errc::state_not_recoverable;
    }
    CHILD_EXPECT(threw);
    CHILD_EXPECT(!hold.owns_lock());
    CHILD_EXPECT(name(shared->lock.try_lock()) == "not_recoverable");
  }};
  this->die_as_owner(waiter);
}

TYPED_TEST(region_waiting_locks, predicate_that_throws_keeps_the_lock) {
  auto& shared = this->shared_;
  with_recovery view{shared->lock, [] { return true; }};
  std::unique_lock hold{view};
  EXPECT_THROW(static_cast<void>(shared->changed.wait(
                   hold, []() -> bool { throw std::runtime_error{"predicate"}; })),
               std::runtime_error);
  EXPECT_TRUE(hold.owns_lock());
}

} // namespace
} // namespace deadbolt::testing
