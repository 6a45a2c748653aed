// SPDX-License-Identifier: MIT
// What the benchmarks count as a disturbed sample.
#include "disturbance.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using bench::cpu_times_now;
using bench::most_disturbance;
using bench::share_of_others;

// Two CPUs for a second.
TEST(disturbance, own_cpu_time_is_none) {
  EXPECT_DOUBLE_EQ(share_of_others({10, 3}, {12, 5}, 1, 2), 0);
}

TEST(disturbance, one_busy_cpu_of_two_is_half) {
  EXPECT_DOUBLE_EQ(share_of_others({10, 3}, {12, 4}, 1, 2), 0.5);
  EXPECT_GT(0.5, most_disturbance);
}

// The kernel counts whole ticks, so that a program may seem to have had more than there was.
TEST(disturbance, stays_between_none_and_all) {
  EXPECT_DOUBLE_EQ(share_of_others({10, 3}, {10, 4}, 1, 2), 0);
  EXPECT_DOUBLE_EQ(share_of_others({10, 3}, {19, 3}, 1, 2), 1);
  EXPECT_DOUBLE_EQ(share_of_others({10, 3}, {19, 3}, 0, 2), 0);
}

// A child counts as another program until it has been waited for.
TEST(disturbance, another_program_is_seen_to_run) {
  const bench::cpu_times before = cpu_times_now();
  const pid_t child = fork();
  if (child == 0) {
    for (;;) {
    }
  }
  bench::cpu_times now = before;
  // Ten ticks of the kernel's clock, however long the machine takes to give them.
  while ((now.all_programs - before.all_programs) - (now.this_program - before.this_program) <
         0.1) {
    usleep(1000);
    now = cpu_times_now();
  }
  EXPECT_GT(share_of_others(before, now, 0.1, 1), most_disturbance);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

} // namespace
