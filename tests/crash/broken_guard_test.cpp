// SPDX-License-Identifier: MIT
// The harness finds what is wrong with a guard.
#include "attack.hpp"
#include "twin_guard.hpp"

namespace deadbolt::crash {
namespace {

const subject& ours() {
  return subject_named("robust_mutex");
}

// Rows point to their guards.
const idle_guard idle;
const half_guard blind_to_deaths{false};
const half_guard blind_to_signals{true};
const eager_guard eager;

// Where the kernel protects, an idle guard hides nothing.
bool kernel_protects() {
  return ours().protected_by_itself();
}

TEST(reuse, finds_a_guard_that_never_repairs) {
  if (kernel_protects()) GTEST_SKIP() << "the kernel protects, whatever a guard does";
  const row row = attack(ours(), "reuse", idle);
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::lost), 0u) << describe(row);
}

TEST(reuse, finds_a_guard_that_is_blind_to_deaths) {
  if (kernel_protects()) GTEST_SKIP() << "the kernel protects, whatever a guard does";
  const row row = attack(ours(), "reuse", blind_to_deaths);
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
}

TEST(handler, finds_a_guard_that_is_blind_to_signals) {
  if (kernel_protects()) GTEST_SKIP() << "the kernel protects, whatever a guard does";
  const row row = attack(ours(), "handler", blind_to_signals);
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
}

TEST(reuse, finds_a_guard_that_repairs_too_much) {
  const row row = attack(ours(), "reuse", eager);
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

TEST(handler, finds_a_guard_that_repairs_too_much) {
  const row row = attack(ours(), "handler", eager);
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
}

} // namespace
} // namespace deadbolt::crash
