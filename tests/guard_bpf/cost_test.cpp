// SPDX-License-Identifier: MIT
// What the BPF guard costs, in lines that start with "figure".
#include "attached_guard.hpp"
#include "cost.hpp"

#include <cstdio>
#include <gtest/gtest.h>

namespace {

using namespace guard_test;

TEST(cost, a_lock_costs_the_same_under_the_guard) {
  const double lock_before = lock_cost();
  const double signal_before = signal_cost();
  const attached_guard guard;
  if (!guard.refusal().empty()) GTEST_SKIP() << guard.refusal();
  const double lock_under = lock_cost();
  const double signal_under = signal_cost();
  std::printf("figure signals a second, guarded / unguarded: %.2f (%.0f and %.0f)\n",
              signal_before / signal_under, 1e9 / signal_under, 1e9 / signal_before);
  std::printf("figure ns of a robust lock and unlock, guarded / unguarded: %.2f (%.1f and %.1f)\n",
              lock_under / lock_before, lock_under, lock_before);
  // The guard does nothing there: what is left is the machine's own unrest.
  EXPECT_LT(lock_under, 1.5 * lock_before);
  EXPECT_LT(signal_under, 20 * signal_before);
}

} // namespace
