// SPDX-License-Identifier: MIT
// The harness finds faults of a semaphore or a condition variable, and none in a healthy one.
#include "attack.hpp"
#include "mutant_condition_variable.hpp"
#include "mutant_semaphore.hpp"

namespace deadbolt::crash {
namespace {

template <class Mutant>
row attack_mutant(std::string_view scenario, unsigned stride = 1) {
  static constexpr Mutant mutant{};
  return attack(mutant, scenario, guard_named("none"), 30, stride);
}

TEST(healthy_semaphore, is_clean) {
  const row row = attack_mutant<mutant_semaphore>("reuse");
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 20u);
}

TEST(broken_semaphore, count_of_permits_loses_one) {
  const row row = attack_mutant<counted_semaphore>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

// Nearly every kill point strands the waiter and makes the harness wait: a part of them is enough.
TEST(broken_condition_variable, unbounded_sleep_strands_the_waiter) {
  const row row = attack_mutant<unbounded_condition>("waiter", 13);
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::stranded), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

} // namespace
} // namespace deadbolt::crash
