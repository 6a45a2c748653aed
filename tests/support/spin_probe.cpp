// SPDX-License-Identifier: MIT
// Prints how often a waiter of this process reads a held lock word before it sleeps.
#include <base/spin.hpp>

#include <cstdio>

int main() {
  std::uint32_t estimate = 0;
  deadbolt::base::spinner spinner{estimate};
  int looks = 0;
  while (spinner.again()) ++looks;
  std::printf("%d\n", looks);
  return 0;
}
