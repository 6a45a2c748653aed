// SPDX-License-Identifier: MIT
// A waiter spins for a short time that depends on how long spinning took lately, and does not spin
// where the owner could not run meanwhile (on one CPU).
#include <base/spin.hpp>

#include <command_output.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>

namespace deadbolt::testing {
namespace {

using base::spinner;

// As on a machine with several CPUs, whatever this one has.
struct spin : ::testing::Test {
  spin() : before_{base::more_than_one_cpu} { base::more_than_one_cpu = true; }
  ~spin() override { base::more_than_one_cpu = before_; }

private:
  bool before_;
};

int spin_in_vain(std::uint32_t& estimate) {
  spinner waiter{estimate};
  int looks = 0;
  while (waiter.again()) ++looks;
  return looks;
}

void spin_until_look(int look, std::uint32_t& estimate) {
  spinner waiter{estimate};
  for (int i = 0; i < look && waiter.again(); ++i) {
  }
  waiter.remember();
}

TEST_F(spin, ends_soon_whatever_the_estimate_says) {
  for (const std::uint32_t start : {0U, 1U, 400U, 1U << 31, UINT32_MAX}) {
    std::uint32_t estimate = start;
    const int looks = spin_in_vain(estimate);
    EXPECT_GT(looks, 0) << start;
    EXPECT_LE(looks, 10) << start << ": pauses double from one look to the next";
  }
}

TEST_F(spin, is_longer_after_success_and_shorter_after_failure) {
  std::uint32_t estimate = 0;
  const int at_first = spin_in_vain(estimate);
  for (int i = 0; i < 50; ++i) spin_until_look(at_first, estimate);
  const std::uint32_t learned = estimate;
  const int after_success = spin_in_vain(estimate);
  EXPECT_GT(after_success, at_first);
  EXPECT_LT(estimate, learned) << "that one was in vain";
  for (int i = 0; i < 50; ++i) spin_in_vain(estimate);
  EXPECT_EQ(spin_in_vain(estimate), at_first);
}

// A lock's memory may be reused once the thread neither holds it nor has announced an operation on
// it.
TEST_F(spin, writes_the_estimate_no_second_time) {
  std::uint32_t estimate = 100;
  spinner waiter{estimate};
  while (waiter.again()) {
  }
  estimate = 7;
  EXPECT_FALSE(waiter.again());
  waiter.remember();
  EXPECT_EQ(estimate, 7U);
}

TEST_F(spin, of_a_thread_that_collides_has_a_limit) {
  base::pace pace;
  std::uint32_t longest = 0;
  // A lock that is held for longer now and then makes the waits shorter, which then double.
  for (int i = 0; i < 400; ++i) {
    pace.wait(i % 20 != 19);
    longest = std::max(longest, pace.pauses());
  }
  EXPECT_GT(longest, 1U) << "no two waits followed each other within 8 us";
  EXPECT_LE(longest, base::pace::most_pauses);
}

std::string looks_of_a_new_process() {
  return run_command(SPIN_PROBE).text;
}

TEST(spin_by_cpus, is_none_where_the_process_has_one_and_some_where_it_has_two) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(looks_of_a_new_process(), "0\n");
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "this machine has one CPU: the half of it";
  EXPECT_NE(looks_of_a_new_process(), "0\n");
}

} // namespace
} // namespace deadbolt::testing
