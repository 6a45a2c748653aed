// SPDX-License-Identifier: MIT
// Prints the cost of a signal and of a lock here. Run it with and without a guard.
#include "cost.hpp"

#include <cstdio>

int main() {
  const double signal = guard_test::signal_cost();
  std::printf("signal %.0f ns (%.0f a second), lock and unlock %.1f ns\n", signal, 1e9 / signal,
              guard_test::lock_cost());
  return 0;
}
