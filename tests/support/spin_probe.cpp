// SPDX-License-Identifier: MIT
// Says on stdout how often a waiter looks at a held lock before it sleeps, here.
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
