// SPDX-License-Identifier: MIT
// Says on stdout what a program hears: its engine and its protection.
#include <deadbolt/protection.hpp>
#include <deadbolt/robust_futex.h>

#include <cstdio>

int main() {
  std::printf("%s %s\n", deadbolt_engine(), deadbolt::to_string(deadbolt::protection()));
  return 0;
}
