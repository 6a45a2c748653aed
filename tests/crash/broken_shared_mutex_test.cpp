// SPDX-License-Identifier: MIT
// The harness finds faults of a shared_mutex, and none in a healthy one.
#include "attack.hpp"
#include "mutant_shared_mutex.hpp"

namespace deadbolt::crash {
namespace {

// A row points to its subject: the mutants live as long as the tests.
template <side Victim, shared_fault Fault>
row attack_mutant(std::string_view scenario) {
  static constexpr mutant_shared_mutex mutant{Victim, Fault};
  return attack(mutant, scenario, guard_named("none"));
}

TEST(healthy_shared_mutex, is_clean) {
  for (const std::string_view scenario : {"reuse", "waiter"}) {
    const row row = attack_mutant<side::reader, shared_fault::none>(scenario);
    EXPECT_EQ(row.judge(), standing::clean) << describe(row);
    EXPECT_GT(row.kill_points(), 20u);
  }
}

TEST(broken_shared_mutex, count_of_readers_loses_the_lock) {
  const row row = attack_mutant<side::reader, shared_fault::counts_readers>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

TEST(broken_shared_mutex, writers_death_that_is_not_told_is_found) {
  const row row = attack_mutant<side::writer, shared_fault::forgets_writer>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::owner_died), 0u) << describe(row);
}

} // namespace
} // namespace deadbolt::crash
