// SPDX-License-Identifier: MIT
// robust_mutex in std::unique_lock, std::scoped_lock and std::lock, plain and with recovery: a
// program cannot overlook an owner's death.
#include <deadbolt/mutex.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>
#include <deadbolt/with_recovery.hpp>

#include <dead_owner.hpp>
#include <futex_thread.hpp>
#include <gate.hpp>
#include <print_results.hpp>
#include <shared_memory.hpp>

#include <gtest/gtest.h>
#include <mutex>
#include <stdexcept>

namespace deadbolt::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

template <class Mutex>
struct standard_wrappers : ::testing::Test {
  shared<Mutex> lock_a;
  shared<Mutex> lock_b;
};
template <class Mutex>
using standard_wrappers_death = standard_wrappers<Mutex>;
using mutexes = ::testing::Types<robust_mutex, robust_pi_mutex>;
TYPED_TEST_SUITE(standard_wrappers, mutexes);
TYPED_TEST_SUITE(standard_wrappers_death, mutexes);

template <class Mutex>
std::error_code error_of_locking(Mutex& mutex) {
  try {
    mutex.lock();
    return {};
  } catch (const std::system_error& error) {
    return error.code();
  }
}

TYPED_TEST(standard_wrappers, hold_and_release) {
  auto& mutex = *this->lock_a;
  {
    std::unique_lock hold{mutex};
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_EQ(mutex.owner(), gettid());
  }
  EXPECT_EQ(mutex.owner(), 0);
  {
    std::scoped_lock hold{mutex, *this->lock_b};
    EXPECT_EQ(mutex.owner(), gettid());
    EXPECT_EQ(this->lock_b->owner(), gettid());
  }
  EXPECT_EQ(mutex.owner(), 0);
  EXPECT_EQ(this->lock_b->owner(), 0);
  {
    std::unique_lock<TypeParam> hold{mutex, milliseconds{1}};
    EXPECT_TRUE(hold.owns_lock());
  }
  {
    std::unique_lock<TypeParam> hold{mutex, steady_clock::now() + milliseconds{1}};
    EXPECT_TRUE(hold.owns_lock());
  }
  EXPECT_EQ(mutex.owner(), 0);
}

TYPED_TEST(standard_wrappers, try_and_timed_forms_know_a_busy_lock) {
  auto& mutex = *this->lock_a;
  std::unique_lock hold{mutex};
  known_thread other{[&] {
    EXPECT_FALSE((std::unique_lock{mutex, std::try_to_lock}.owns_lock()));
    EXPECT_FALSE((std::unique_lock<TypeParam>{mutex, milliseconds{1}}.owns_lock()));
    EXPECT_EQ(std::try_lock(*this->lock_b, mutex), 1);
    EXPECT_EQ(this->lock_b->owner(), 0) << "std::try_lock lets go of the first";
  }};
  other.join();
}

TYPED_TEST(standard_wrappers, std_lock_takes_two_in_any_order_without_deadlock) {
  constexpr int rounds = 2000;
  long count = 0;
  const auto work = [&count](auto& first, auto& second) {
    for (int i = 0; i < rounds; ++i) {
      std::lock(first, second);
      ++count;
      static_cast<void>(first.unlock());
      static_cast<void>(second.unlock());
    }
  };
  known_thread other{[&] { work(*this->lock_b, *this->lock_a); }};
  work(*this->lock_a, *this->lock_b);
  other.join();
  EXPECT_EQ(count, 2 * rounds);
}

// The standard wrappers examine no result: the death must end the process instead.
TYPED_TEST(standard_wrappers_death, owner_death_that_nobody_looks_at_aborts) {
  auto& mutex = *this->lock_a;
  constexpr const char* message =
      "deadbolt: the last owner of the lock at 0x[0-9a-f]+ died.*with_recovery";
  let_an_owner_die(mutex);
  EXPECT_DEATH({ const std::scoped_lock hold{mutex}; }, message);
  EXPECT_DEATH({ const std::unique_lock hold(mutex, std::try_to_lock); }, message);
  EXPECT_DEATH({ const std::unique_lock<TypeParam> hold(mutex, milliseconds{1}); }, message);
  EXPECT_DEATH(std::lock(mutex, *this->lock_b), message);
  EXPECT_DEATH(static_cast<void>(mutex.lock()), message);
  EXPECT_DEATH(static_cast<void>(static_cast<bool>(mutex.try_lock())), message);
  // Each of these processes died as an owner, so the next owner is told again.
  EXPECT_EQ(mutex.lock(), lock_status::owner_died);
  EXPECT_EQ(mutex.unlock(), unlock_status::released);
  EXPECT_DEATH({ const std::scoped_lock hold{mutex}; }, "is not recoverable.*mark_consistent");
}

TYPED_TEST(standard_wrappers_death, deadlock_that_nobody_looks_at_aborts) {
  const auto lock_twice = [this] {
    const std::scoped_lock hold{*this->lock_a};
    static_cast<void>(this->lock_a->lock());
  };
  EXPECT_DEATH(lock_twice(), "the calling thread holds the lock at 0x[0-9a-f]+ already");
}

TEST(mutex_outside_a_region_death, names_the_remedy) {
  mutex misplaced;
  EXPECT_DEATH(static_cast<void>(misplaced.lock()),
               "in no region that this process has open.*find_or_construct.*robust_mutex");
}

TYPED_TEST(standard_wrappers, recovery_repairs_once_and_goes_on) {
  let_an_owner_die(*this->lock_a);
  int repairs = 0;
  with_recovery lock{*this->lock_a, [&] {
                       EXPECT_EQ(this->lock_a->owner(), gettid()) << "repairs hold the lock";
                       return ++repairs == 1;
                     }};
  for (int i = 0; i < 2; ++i) {
    std::scoped_lock hold{lock};
    EXPECT_EQ(repairs, 1);
    EXPECT_EQ(this->lock_a->owner(), gettid());
  }
  EXPECT_EQ(this->lock_a->lock(), lock_status::acquired);
  EXPECT_EQ(this->lock_a->unlock(), unlock_status::released);
}

TYPED_TEST(standard_wrappers, recovery_works_in_every_form) {
  int repairs = 0;
  with_recovery lock{*this->lock_a, [&] { return ++repairs > 0; }};
  using lock_type = decltype(lock);
  let_an_owner_die(*this->lock_a);
  EXPECT_TRUE((std::unique_lock{lock, std::try_to_lock}.owns_lock()));
  let_an_owner_die(*this->lock_a);
  EXPECT_TRUE((std::unique_lock<lock_type>{lock, milliseconds{1}}.owns_lock()));
  let_an_owner_die(*this->lock_a);
  EXPECT_TRUE((std::unique_lock<lock_type>{lock, steady_clock::now()}.owns_lock()));
  let_an_owner_die(*this->lock_a);
  std::lock(lock, *this->lock_b);
  EXPECT_EQ(repairs, 4);
  lock.unlock();
  static_cast<void>(this->lock_b->unlock());
}

TYPED_TEST(standard_wrappers, recovery_that_fails_makes_the_lock_not_recoverable) {
  let_an_owner_die(*this->lock_a);
  with_recovery lock{*this->lock_a, [] { return false; }};
  EXPECT_EQ(error_of_locking(lock), std::errc::state_not_recoverable);
  EXPECT_EQ(this->lock_a->owner(), 0);
  EXPECT_EQ(error_of_locking(lock), std::errc::state_not_recoverable);
  EXPECT_EQ(this->lock_a->lock(), lock_status::not_recoverable);
}

TYPED_TEST(standard_wrappers, recovery_that_throws_makes_the_lock_not_recoverable) {
  let_an_owner_die(*this->lock_a);
  with_recovery lock{*this->lock_a, []() -> bool { throw std::runtime_error{"cannot repair"}; }};
  EXPECT_THROW(lock.lock(), std::runtime_error);
  EXPECT_EQ(this->lock_a->owner(), 0);
  EXPECT_EQ(this->lock_a->lock(), lock_status::not_recoverable);
}

TYPED_TEST(standard_wrappers, recovery_view_throws_what_cannot_be_had) {
  with_recovery lock{*this->lock_a, [] { return true; }};
  const std::scoped_lock hold{lock};
  EXPECT_EQ(error_of_locking(lock), std::errc::resource_deadlock_would_occur);
  EXPECT_FALSE(lock.try_lock());
}

} // namespace
} // namespace deadbolt::testing
