// SPDX-License-Identifier: MIT
// The harness finds faults of a mutex, and none in a healthy one.
#include "attack.hpp"
#include "mutant_mutex.hpp"

namespace deadbolt::crash {
namespace {

// A row points to its subject: the mutants live as long as the tests.
template <fault Fault>
row attack_mutant(std::string_view scenario, unsigned watchdog_seconds = 30) {
  static constexpr mutant_mutex mutant{"mutant", Fault};
  return attack(mutant, scenario, guard_named("ptrace"), watchdog_seconds);
}

class healthy_mutex : public testing::TestWithParam<std::string_view> {};

TEST_P(healthy_mutex, is_clean) {
  const row row = attack_mutant<fault::none>(GetParam());
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 20u);
  EXPECT_EQ(row.count(outcome::corrupted), 0u);
}

INSTANTIATE_TEST_SUITE_P(in, healthy_mutex, testing::ValuesIn(scenario_names()));

class every_reuse : public testing::TestWithParam<std::string_view> {};

TEST_P(every_reuse, finds_a_pending_clear_that_is_missing) {
  const row row = attack_mutant<fault::never_clears>(GetParam());
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::stranded), 0u) << describe(row);
}

TEST_P(every_reuse, finds_a_clear_before_the_release) {
  const row row = attack_mutant<fault::clears_before_release>(GetParam());
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

INSTANTIATE_TEST_SUITE_P(in, every_reuse,
                         testing::Values("reuse", "reuse_exit_group", "reuse_execve", "remap",
                                         "handler", "exec_self"));

TEST(waiter, finds_a_wake_that_is_missing) {
  const row row = attack_mutant<fault::never_wakes>("waiter");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::stranded), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::lost), 0u) << describe(row);
}

TEST(woken, finds_a_wake_that_is_missing) {
  const row row = attack_mutant<fault::never_wakes>("woken");
  EXPECT_GT(row.count(outcome::stranded), 0u) << describe(row);
}

TEST(waiter, finds_a_clear_before_the_release) {
  const row row = attack_mutant<fault::clears_before_release>("waiter");
  EXPECT_GT(row.count(outcome::stranded), 0u) << describe(row);
}

TEST(waiter, is_content_with_sleeps_that_only_a_wake_ends) {
  const row row = attack_mutant<fault::sleeps_unbounded>("waiter");
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
}

TEST(woken, finds_sleeps_that_only_a_wake_ends) {
  const row row = attack_mutant<fault::sleeps_unbounded>("woken");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::stranded), 0u) << describe(row);
}

TEST(reuse, finds_a_node_that_is_still_linked) {
  const row row = attack_mutant<fault::unlinks_after_release>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
}

TEST(reuse, finds_other_locks_that_a_torn_list_loses) {
  const row row = attack_mutant<fault::tears_the_list>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
}

TEST(waiter, finds_a_death_that_is_not_told) {
  const row row = attack_mutant<fault::forgets_owner_death>("waiter");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
}

TEST(harness, does_not_call_a_crashing_mutex_clean) {
  const row row = attack_mutant<fault::crashes>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.not_judged, 0u) << describe(row);
}

TEST(harness, gives_up_on_an_unlock_that_never_returns) {
  const row row = attack_mutant<fault::never_returns>("reuse", 2);
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_EQ(row.not_judged, 2u) << describe(row); // one an operation: its length is unknown
}

} // namespace
} // namespace deadbolt::crash
