// SPDX-License-Identifier: MIT
// The cost of the BPF guard, in lines that start with "figure".
#include "attached_guard.hpp"
#include "cost.hpp"

#include <algorithm>
#include <cstdio>
#include <gtest/gtest.h>
#include <optional>

namespace {

using namespace guard_test;

struct costs {
  double signal = signal_cost();
  double lock = lock_cost();
};

costs least_of(const costs& one, const costs& other) {
  return {std::min(one.signal, other.signal), std::min(one.lock, other.lock)};
}

TEST(cost, a_lock_costs_the_same_under_the_guard) {
  const costs before;
  std::optional<attached_guard> guard(std::in_place);
  if (!guard->refusal().empty()) GTEST_SKIP() << guard->refusal();
  const costs under;
  guard.reset();
  const costs after;
  const costs without = least_of(before, after);
  std::printf("figure signals a second, guarded / unguarded: %.2f (%.0f and %.0f; unguarded before "
              "%.0f and after %.0f)\n",
              without.signal / under.signal, 1e9 / under.signal, 1e9 / without.signal,
              1e9 / before.signal, 1e9 / after.signal);
  std::printf("figure ns of a robust lock and unlock, guarded / unguarded: %.2f (%.1f and %.1f)\n",
              under.lock / without.lock, under.lock, without.lock);
  // The guard does nothing there: the difference is the machine's noise.
  EXPECT_LT(under.lock, 1.2 * without.lock);
  // The guard runs for each signal.
  EXPECT_GT(under.signal, without.signal);
  EXPECT_LT(under.signal, 20 * without.signal);
}

} // namespace
