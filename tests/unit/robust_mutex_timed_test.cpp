// SPDX-License-Identifier: MIT
// Deadlines in the future, in the past, in the far future and invalid ones: each ends a wait
// correctly, and none makes the wait hang or spin.
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <futex_thread.hpp>
#include <gate.hpp>
#include <print_results.hpp>
#include <shared_memory.hpp>

#include <gtest/gtest.h>
#include <limits>
#include <optional>

namespace deadbolt::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// A clock of the program's own, at `offset` from the steady one; signed and 64-bit.
template <std::int64_t OffsetNanoseconds>
struct shifted_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<shifted_clock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept {
    return time_point{steady_clock::now().time_since_epoch() + duration{OffsetNanoseconds}};
  }
};
constexpr std::int64_t century = 100LL * 365 * 24 * 3600 * 1'000'000'000;
using late_clock = shifted_clock<century>;
using early_clock = shifted_clock<-century>;

template <class Mutex>
class timed_lock : public ::testing::Test {
protected:
  // Another thread holds the mutex until let_go().
  void hold() {
    holder_.emplace([this] {
      if (mutex->lock() != lock_status::acquired) std::abort();
      held_.open();
      let_go_.pass("the end of the tries");
      static_cast<void>(mutex->unlock());
    });
    held_.pass("the holder's lock");
  }
  void let_go() {
    let_go_.open();
    holder_->join();
  }
  template <class Time>
  static steady_clock::duration time_for(Time&& run) {
    const auto start = steady_clock::now();
    run();
    return steady_clock::now() - start;
  }
  // While another thread holds the mutex, this time is over at once: a time that is taken for
  // a later one makes the call outlast the test's watchdog.
  template <class Time>
  void expect_over(const Time& time) {
    EXPECT_EQ(mutex->try_lock_until(time), lock_status::timed_out);
    EXPECT_EQ(own_head()->list_op_pending, nullptr);
  }
  // Another thread holds the mutex and releases it while this call sleeps: the call must not time
  // out before.
  template <class Try>
  void expect_waits(Try&& try_lock) {
    hold();
    std::atomic<bool> got = false;
    known_thread waiter{[&] {
      got = try_lock() == lock_status::acquired && mutex->unlock() == unlock_status::released;
    }};
    waiter.await_sleeping_on(mutex->native_handle());
    let_go();
    waiter.join();
    EXPECT_TRUE(got);
  }

  shared<Mutex> mutex;

private:
  gate held_;
  gate let_go_;
  std::optional<known_thread> holder_;
};

using mutexes = ::testing::Types<robust_mutex, robust_pi_mutex>;
TYPED_TEST_SUITE(timed_lock, mutexes);

TYPED_TEST(timed_lock, past_times_try_once) {
  EXPECT_EQ(this->mutex->try_lock_until(steady_clock::time_point::min()), lock_status::acquired);
  EXPECT_EQ(this->mutex->unlock(), unlock_status::released);
  EXPECT_EQ(this->mutex->try_lock_for(milliseconds{-1}), lock_status::acquired);
  EXPECT_EQ(this->mutex->unlock(), unlock_status::released);
}

TYPED_TEST(timed_lock, past_times_are_over_at_once_on_every_clock) {
  this->hold();
  this->expect_over(steady_clock::time_point::min());
  this->expect_over(steady_clock::time_point{});
  this->expect_over(steady_clock::now() - milliseconds{1});
  this->expect_over(system_clock::time_point::min());
  this->expect_over(system_clock::now() - std::chrono::hours{1});
  this->expect_over(late_clock::time_point::min());
  this->expect_over(late_clock::now() - milliseconds{1});
  this->expect_over(early_clock::time_point::min());
  this->expect_over(early_clock::now() - milliseconds{1});
  this->let_go();
}

TYPED_TEST(timed_lock, not_a_number_is_over_at_once) {
  using seconds = std::chrono::duration<double>;
  this->hold();
  EXPECT_EQ(this->mutex->try_lock_for(seconds{not_a_number}), lock_status::timed_out);
  EXPECT_EQ(this->mutex->try_lock_for(seconds{-infinity}), lock_status::timed_out);
  this->expect_over(std::chrono::time_point<steady_clock, seconds>{seconds{not_a_number}});
  this->expect_over(std::chrono::time_point<system_clock, seconds>{seconds{not_a_number}});
  this->expect_over(std::chrono::time_point<late_clock, seconds>{seconds{not_a_number}});
  this->let_go();
}

TYPED_TEST(timed_lock, waits_as_long_as_it_was_told) {
  constexpr milliseconds wait{30};
  this->hold();
  const auto expect_long = [&](steady_clock::duration took) { EXPECT_GE(took, wait); };
  expect_long(
      this->time_for([&] { EXPECT_EQ(this->mutex->try_lock_for(wait), lock_status::timed_out); }));
  expect_long(this->time_for([&] {
    EXPECT_EQ(this->mutex->try_lock_until(steady_clock::now() + wait), lock_status::timed_out);
  }));
  expect_long(this->time_for([&] {
    EXPECT_EQ(this->mutex->try_lock_until(late_clock::now() + wait), lock_status::timed_out);
  }));
  expect_long(this->time_for([&] {
    EXPECT_EQ(this->mutex->try_lock_until(early_clock::now() + wait), lock_status::timed_out);
  }));
  // The realtime clock may be set meanwhile, so the test checks only that the wait ends, but not at
  // once.
  EXPECT_EQ(this->mutex->try_lock_until(system_clock::now() + wait), lock_status::timed_out);
  this->let_go();
}

TYPED_TEST(timed_lock, longer_than_the_longest_sleep_is_not_cut_short) {
  constexpr milliseconds wait{250};
  this->hold();
  EXPECT_GE(
      this->time_for([&] { EXPECT_EQ(this->mutex->try_lock_for(wait), lock_status::timed_out); }),
      wait);
  this->let_go();
}

TYPED_TEST(timed_lock, steady_far_future_waits) {
  this->expect_waits(
      [&] { return this->mutex->try_lock_until(steady_clock::time_point::max()).status(); });
}
TYPED_TEST(timed_lock, system_far_future_waits) {
  this->expect_waits(
      [&] { return this->mutex->try_lock_until(system_clock::time_point::max()).status(); });
}
TYPED_TEST(timed_lock, late_far_future_waits) {
  this->expect_waits(
      [&] { return this->mutex->try_lock_until(late_clock::time_point::max()).status(); });
}
TYPED_TEST(timed_lock, early_far_future_waits) {
  this->expect_waits(
      [&] { return this->mutex->try_lock_until(early_clock::time_point::max()).status(); });
}
TYPED_TEST(timed_lock, longest_durations_wait) {
  this->expect_waits([&] { return this->mutex->try_lock_for(std::chrono::hours::max()).status(); });
}
TYPED_TEST(timed_lock, infinite_duration_waits) {
  this->expect_waits(
      [&] { return this->mutex->try_lock_for(std::chrono::duration<double>{infinity}).status(); });
}
// A period whose common type with nanoseconds overflows long before nanoseconds do.
TYPED_TEST(timed_lock, two_centuries_of_sixtieths_wait) {
  using sixtieths = std::chrono::duration<std::int64_t, std::ratio<1, 60>>;
  constexpr sixtieths two_centuries{60LL * 200 * 365 * 24 * 3600};
  this->expect_waits([&] { return this->mutex->try_lock_for(two_centuries).status(); });
}

TEST(timed_lock_rounding, fractions_of_a_nanosecond_are_rounded_up) {
  using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
  EXPECT_EQ(detail::clamped_nanoseconds(picoseconds{1}), 1);
  EXPECT_EQ(detail::clamped_nanoseconds(picoseconds{1000}), 1);
  EXPECT_EQ(detail::clamped_nanoseconds(picoseconds{1001}), 2);
  EXPECT_EQ(detail::clamped_nanoseconds(std::chrono::nanoseconds::max()), INT64_MAX);
  EXPECT_EQ(detail::clamped_nanoseconds(std::chrono::nanoseconds{INT64_MAX - 1}), INT64_MAX - 1);
  EXPECT_EQ(detail::clamped_nanoseconds(std::chrono::nanoseconds::min()), 0);
}

} // namespace
} // namespace deadbolt::testing
