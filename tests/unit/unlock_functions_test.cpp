// SPDX-License-Identifier: MIT
// robust_futex_unlock() and robust_pi_futex_try_unlock() on the local engine:
// result, word and list_op_pending, with and without waiters.
#include <deadbolt/robust_futex.h>

#include <unlock_fixture.hpp>

#include <futex_thread.hpp>

namespace deadbolt::testing {
namespace {

using unlock_functions = unlock_fixture;

constexpr std::uint32_t waiters = FUTEX_WAITERS;

TEST_F(unlock_functions, unlock_without_waiters_frees_the_word) {
  words->lock = own_tid();
  EXPECT_EQ(robust_futex_unlock(&words->lock, &words->head), own_tid());
  EXPECT_EQ(words->lock, 0U);
  EXPECT_EQ(words->head.list_op_pending, nullptr);
  EXPECT_TRUE(nothing_else_written());
}

TEST_F(unlock_functions, unlock_returns_the_flags_that_were_there) {
  words->lock = own_tid() | FUTEX_OWNER_DIED;
  EXPECT_EQ(robust_futex_unlock(&words->lock, &words->head), own_tid() | FUTEX_OWNER_DIED);
  EXPECT_EQ(words->lock, 0U);
  EXPECT_EQ(words->head.list_op_pending, nullptr);
}

TEST_F(unlock_functions, unlock_wakes_one_waiter_and_owes_nothing) {
  const std::uint32_t held = own_tid() | waiters;
  words->lock = held;
  std::atomic<int> woken = 0;
  const auto sleep = [&] {
    if (futex(&words->lock, FUTEX_WAIT, held) == 0) ++woken;
  };
  known_thread first{sleep};
  known_thread second{sleep};
  first.await_sleeping_on(&words->lock);
  second.await_sleeping_on(&words->lock);

  EXPECT_EQ(robust_futex_unlock(&words->lock, &words->head), own_tid())
      << "WAITERS in the result would make the caller wake a second one";
  EXPECT_EQ(words->lock, 0U);
  EXPECT_EQ(words->head.list_op_pending, nullptr);
  EXPECT_TRUE(nothing_else_written());
  await("one waiter to be woken", [&] { return woken == 1; });
  EXPECT_EQ(futex(&words->lock, FUTEX_WAKE, 2), 1) << "exactly one waiter was left asleep";
}

TEST_F(unlock_functions, unlock_with_waiters_bit_and_nobody_asleep_frees_the_word) {
  words->lock = own_tid() | waiters;
  EXPECT_EQ(robust_futex_unlock(&words->lock, &words->head), own_tid());
  EXPECT_EQ(words->lock, 0U);
  EXPECT_EQ(words->head.list_op_pending, nullptr);
}

TEST_F(unlock_functions, pi_try_unlock_without_waiters_frees_the_word) {
  words->lock = words->expected = own_tid();
  EXPECT_NE(robust_pi_futex_try_unlock(&words->lock, &words->expected, &words->head), 0);
  EXPECT_EQ(words->lock, 0U);
  EXPECT_EQ(words->head.list_op_pending, nullptr);
  EXPECT_TRUE(nothing_else_written());
}

TEST_F(unlock_functions, pi_try_unlock_of_anothers_word_says_what_it_saw) {
  words->lock = own_tid() + 1;
  words->expected = own_tid();
  EXPECT_EQ(robust_pi_futex_try_unlock(&words->lock, &words->expected, &words->head), 0);
  EXPECT_EQ(words->expected, own_tid() + 1);
  EXPECT_EQ(words->lock, own_tid() + 1);
  EXPECT_EQ(words->head.list_op_pending, entry());
  EXPECT_TRUE(nothing_else_written());
}

TEST_F(unlock_functions, pi_try_unlock_of_anothers_word_with_waiters_is_left_to_the_caller) {
  words->lock = words->expected = (own_tid() + 1) | waiters;
  EXPECT_EQ(robust_pi_futex_try_unlock(&words->lock, &words->expected, &words->head), 0);
  EXPECT_EQ(words->expected, (own_tid() + 1) | waiters);
  EXPECT_EQ(words->lock, (own_tid() + 1) | waiters);
  EXPECT_EQ(words->head.list_op_pending, entry());
}

// Once *expected has WAITERS, and once the function finds WAITERS when its compare fails.
TEST_F(unlock_functions, pi_try_unlock_hands_the_word_to_a_waiter) {
  for (const std::uint32_t told : {std::uint32_t{0}, waiters}) {
    words->lock = own_tid();
    words->head.list_op_pending = entry();
    std::atomic<bool> got = false;
    known_thread waiter{[&] {
      if (futex(&words->lock, FUTEX_LOCK_PI, 0) == 0) got = true;
    }};
    waiter.await_sleeping_on(&words->lock);
    words->expected = own_tid() | told;
    EXPECT_NE(robust_pi_futex_try_unlock(&words->lock, &words->expected, &words->head), 0);
    EXPECT_EQ(words->head.list_op_pending, nullptr);
    EXPECT_TRUE(nothing_else_written());
    waiter.join();
    EXPECT_TRUE(got);
    EXPECT_EQ(words->lock & FUTEX_TID_MASK, static_cast<std::uint32_t>(waiter.tid()));
  }
}

} // namespace
} // namespace deadbolt::testing
