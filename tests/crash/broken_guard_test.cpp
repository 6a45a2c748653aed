// SPDX-License-Identifier: MIT
// The harness finds faults of a guard.
#include "attack.hpp"
#include "guard/unlock_windows/known_libcs.hpp"
#include "guard/unlock_windows/measure.hpp"
#include "mutant_guard.hpp"

#include <functional>
#include <optional>

namespace deadbolt::crash {
namespace {

const subject& ours() {
  return subject_named("robust_mutex");
}

// A row points to its guard: the guards live as long as the tests.
const idle_guard idle;
const half_guard blind_to_deaths{false};
const half_guard blind_to_signals{true};
const eager_guard eager;

// If the kernel protects the locks, an idle guard does no harm.
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

// The libc's windows, or what a change makes of them.
guard::window_set libc_windows(const std::function<void(guard::libc_window&)>& change) {
  std::string error;
  guard::window_set set;
  std::optional<guard::measurement> measured =
      guard::measure_windows(guard::installed_libcs().front(), error);
  EXPECT_TRUE(measured) << error;
  if (!measured) return set;
  for (guard::libc_window& window : measured->table.windows) change(window);
  set.add(measured->table);
  return set;
}

std::uint32_t corrupted_under(const guard::window_set& windows, const char* scenario = "reuse") {
  const ptrace_guard guard{windows};
  const row row = attack(subject_named("glibc"), scenario, guard);
  EXPECT_EQ(row.not_judged, 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::lost), 0u) << describe(row);
  return row.count(outcome::corrupted);
}

TEST(libc_windows, spare_the_memory_when_they_are_right) {
  EXPECT_EQ(corrupted_under(libc_windows([](guard::libc_window&) {})), 0u);
}

TEST(libc_windows, repair_nothing_where_the_code_is_another) {
  const auto change = [](guard::libc_window& window) { window.code.back() ^= 1; };
  EXPECT_GT(corrupted_under(libc_windows(change)), 0u);
}

TEST(libc_windows, repair_nothing_at_another_place_of_a_page) {
  const auto change = [](guard::libc_window& window) { ++window.offset; };
  EXPECT_GT(corrupted_under(libc_windows(change)), 0u);
}

// A death in a handler that interrupted an owed window finds the entry still set, a limit that
// docs/guard.md names. If no window were owed, the row would be clean.
TEST(libc_windows, show_what_a_handler_leaves_uncovered) {
  const auto change = [](guard::libc_window& window) { window.what.owed = 0; };
  EXPECT_EQ(corrupted_under(libc_windows(change), "handler"), 0u);
  EXPECT_GT(corrupted_under(libc_windows([](guard::libc_window&) {}), "handler"), 0u);
}

// The reason why the wake must not be lost: where the entry is cleared, a waiter stays asleep.
TEST(libc_windows, strand_a_waiter_when_a_wake_is_not_known_to_be_owed) {
  const guard::window_set windows =
      libc_windows([](guard::libc_window& window) { window.what.owed = 0; });
  const ptrace_guard careless{windows};
  const row row = attack(subject_named("glibc"), "waiter", careless);
  EXPECT_GT(row.count(outcome::stranded), 0u) << describe(row);
}

} // namespace
} // namespace deadbolt::crash
