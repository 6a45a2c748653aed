// SPDX-License-Identifier: MIT
// What crash-test says of the real locks on this machine.
#include "attack.hpp"

namespace deadbolt::crash {
namespace {

class every_scenario : public testing::TestWithParam<std::string_view> {};

TEST_P(every_scenario, robust_mutex_is_clean_under_the_ptrace_guard) {
  const row row = attack(subject_named("robust_mutex"), GetParam(), guard_named("ptrace"));
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 50u);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

INSTANTIATE_TEST_SUITE_P(in, every_scenario, testing::ValuesIn(scenario_names()));

// The standing negative control: each of these would have to find it.
class unprotected_glibc : public testing::TestWithParam<std::string_view> {};

TEST_P(unprotected_glibc, is_corrupted) {
  const row row = attack(subject_named("glibc"), GetParam(), guard_named("none"));
  EXPECT_EQ(row.judge(), standing::comparison);
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
  EXPECT_GT(row.count(outcome::owner_died), 0u) << describe(row);
  EXPECT_GT(row.count(outcome::intact), 0u) << describe(row);
}

INSTANTIATE_TEST_SUITE_P(in, unprotected_glibc,
                         testing::Values("reuse", "reuse_exit_group", "reuse_execve", "remap",
                                         "handler", "exec_self"));

TEST(unprotected_robust_mutex, is_corrupted_where_the_kernel_does_not_protect) {
  const subject& ours = subject_named("robust_mutex");
  const row row = attack(ours, "reuse", guard_named("none"));
  if (ours.protected_by_itself()) {
    EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  } else {
    EXPECT_EQ(row.judge(), standing::comparison);
    EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
  }
}

TEST(exec_self_thread, shows_that_the_kernel_marks_nothing) {
  const row row = attack(subject_named("glibc"), "exec_self_thread", guard_named("none"));
  EXPECT_EQ(row.count(outcome::owner_died), 0u) << describe(row);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
}

} // namespace
} // namespace deadbolt::crash
