// SPDX-License-Identifier: MIT
// The results of crash-test for the real locks on this machine.
#include "attack.hpp"

#include <string_view>
#include <tuple>

namespace deadbolt::crash {
namespace {

using subject_and_scenario = std::tuple<std::string_view, std::string_view>;

class ours : public testing::TestWithParam<subject_and_scenario> {};

TEST_P(ours, is_clean_under_the_ptrace_guard) {
  const auto [subject, scenario] = GetParam();
  const row row = attack(subject_named(subject), scenario, guard_named("ptrace"));
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 50u);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

INSTANTIATE_TEST_SUITE_P(in, ours,
                         testing::Combine(testing::Values("robust_mutex", "robust_pi_mutex"),
                                          testing::ValuesIn(scenario_names())));

class region_mutex : public testing::TestWithParam<subject_and_scenario> {};

TEST_P(region_mutex, is_clean_without_a_guard) {
  const auto [subject, scenario] = GetParam();
  const row row = attack(subject_named(subject), scenario, guard_named("none"));
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 50u);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

INSTANTIATE_TEST_SUITE_P(in, region_mutex,
                         testing::Combine(testing::Values("mutex", "mutex_biased", "mutex_reserved",
                                                          "mutex_interruptible"),
                                          testing::ValuesIn(scenario_names())));

class region_shared_mutex : public testing::TestWithParam<subject_and_scenario> {};

TEST_P(region_shared_mutex, is_clean_without_a_guard) {
  const auto [subject, scenario] = GetParam();
  const row row = attack(subject_named(subject), scenario, guard_named("none"));
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 20u);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
  // A writer is inside when its unlock begins; a reader's death is never told.
  if (subject == "shared_mutex_reader" || subject == "shared_mutex_reads_first") {
    EXPECT_EQ(row.count(outcome::owner_died), 0u) << describe(row);
  } else if (scenario != "woken") {
    EXPECT_GT(row.count(outcome::owner_died), 0u) << describe(row);
  }
}

INSTANTIATE_TEST_SUITE_P(
    in, region_shared_mutex,
    testing::Combine(testing::Values("shared_mutex", "shared_mutex_reader", "shared_mutex_readers",
                                     "shared_mutex_reads_first", "shared_mutex_fair"),
                     testing::ValuesIn(scenario_names())));

class region_waiting : public testing::TestWithParam<subject_and_scenario> {};

TEST_P(region_waiting, is_clean_without_a_guard) {
  const auto [subject, scenario] = GetParam();
  const row row = attack(subject_named(subject), scenario, guard_named("none"));
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 20u);
  // The next owner is not told: a permit comes back, and the lock with the door repairs itself.
  EXPECT_EQ(row.count(outcome::owner_died), 0u) << describe(row);
}

INSTANTIATE_TEST_SUITE_P(in, region_waiting,
                         testing::Values(subject_and_scenario{"condition_variable", "reuse"},
                                         subject_and_scenario{"condition_variable", "woken"},
                                         subject_and_scenario{"counting_semaphore", "reuse"}));
INSTANTIATE_TEST_SUITE_P(
    with_a_waiter, region_waiting,
    testing::Combine(testing::Values("condition_variable", "condition_variable_late",
                                     "counting_semaphore", "counting_semaphore_pair"),
                     testing::Values("waiter")));

// The negative control: each of these scenarios must find the corruption.
class unprotected_libc : public testing::TestWithParam<subject_and_scenario> {};

TEST_P(unprotected_libc, is_corrupted) {
  const auto [subject, scenario] = GetParam();
  const row row = attack(subject_named(subject), scenario, guard_named("none"));
  EXPECT_EQ(row.judge(), standing::comparison);
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
  EXPECT_GT(row.count(outcome::owner_died), 0u) << describe(row);
  EXPECT_GT(row.count(outcome::intact), 0u) << describe(row);
}

INSTANTIATE_TEST_SUITE_P(in, unprotected_libc,
                         testing::Combine(testing::Values("glibc", "glibc_pi"),
                                          testing::Values("reuse", "reuse_exit_group",
                                                          "reuse_execve", "remap", "handler",
                                                          "exec_self")));
INSTANTIATE_TEST_SUITE_P(in_cond_wait, unprotected_libc,
                         testing::Combine(testing::Values("glibc_cond"),
                                          testing::Values("reuse", "handler")));
INSTANTIATE_TEST_SUITE_P(in_refusals, unprotected_libc,
                         testing::Combine(testing::Values("glibc_refused", "glibc_refused_pi"),
                                          testing::Values("reuse")));

// The same libc, unmodified, guarded by its measured windows. The limit, a death in a handler that
// interrupted an owed window, is in broken_guard_test.cpp.
class guarded_libc : public testing::TestWithParam<subject_and_scenario> {};

TEST_P(guarded_libc, is_clean_under_the_ptrace_guard) {
  const auto [subject, scenario] = GetParam();
  const row row = attack(subject_named(subject), scenario, guard_named("ptrace"));
  EXPECT_EQ(row.judge(), standing::comparison);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::stranded), 0u) << describe(row);
  EXPECT_EQ(row.not_judged, 0u) << describe(row);
  EXPECT_GT(row.kill_points(), 50u);
}

INSTANTIATE_TEST_SUITE_P(in, guarded_libc,
                         testing::Combine(testing::Values("glibc", "glibc_pi"),
                                          testing::Values("reuse", "reuse_exit_group",
                                                          "reuse_execve", "remap", "waiter")));
INSTANTIATE_TEST_SUITE_P(in_cond_wait, guarded_libc,
                         testing::Combine(testing::Values("glibc_cond"),
                                          testing::Values("reuse", "reuse_exit_group",
                                                          "reuse_execve", "remap")));
// Without priority inheritance glibc's refusal calls a function to wake that is in no table.
INSTANTIATE_TEST_SUITE_P(in_refusals, guarded_libc,
                         testing::Combine(testing::Values("glibc_refused_pi"),
                                          testing::Values("reuse", "remap", "handler")));
INSTANTIATE_TEST_SUITE_P(in_handlers, guarded_libc,
                         testing::Combine(testing::Values("glibc_pi"),
                                          testing::Values("handler", "exec_self")));

class unprotected_ours : public testing::TestWithParam<std::string_view> {};

TEST_P(unprotected_ours, is_corrupted_where_the_kernel_does_not_protect) {
  const subject& ours = subject_named(GetParam());
  const row row = attack(ours, "reuse", guard_named("none"));
  if (ours.protected_by_itself()) {
    EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  } else {
    EXPECT_EQ(row.judge(), standing::comparison);
    EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
  }
}

INSTANTIATE_TEST_SUITE_P(in, unprotected_ours, testing::Values("robust_mutex", "robust_pi_mutex"));

TEST(exec_self_thread, shows_that_the_kernel_marks_nothing) {
  const row row = attack(subject_named("glibc"), "exec_self_thread", guard_named("none"));
  EXPECT_EQ(row.count(outcome::owner_died), 0u) << describe(row);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
}

TEST(reaped, shows_that_the_kernel_marks_nothing) {
  const row row = attack(subject_named("robust_mutex"), "reaped", guard_named("none"));
  EXPECT_EQ(row.count(outcome::owner_died), 0u) << describe(row);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
}

// The next owner is in a PID namespace in which the victim has no PID.
TEST(reaped, region_locks_pass_on_to_another_pid_namespace) {
  if (geteuid() != 0) GTEST_SKIP() << "a PID namespace needs root";
  const row row = attack(subject_named("mutex"), "reaped_apart", guard_named("none"));
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.count(outcome::owner_died), 0u) << describe(row);
  const auto limited = attack(subject_named("robust_mutex"), "reaped_apart", guard_named("none"));
  EXPECT_EQ(limited.count(outcome::owner_died), 0u) << describe(limited);
  EXPECT_GT(limited.count(outcome::lost), 0u) << describe(limited);
}

TEST(reaped, region_locks_pass_on_all_the_same) {
  for (const char* const lock : {"mutex", "shared_mutex"}) {
    const row row = attack(subject_named(lock), "reaped", guard_named("none"));
    EXPECT_EQ(row.judge(), standing::clean) << describe(row);
    EXPECT_GT(row.count(outcome::owner_died), 0u) << describe(row);
  }
}

} // namespace
} // namespace deadbolt::crash
