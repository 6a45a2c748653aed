// SPDX-License-Identifier: MIT
// Prints the engine and the protection that the library reports to a program.
#include <deadbolt/protection.hpp>
#include <deadbolt/robust_futex.h>

#include <cstdio>

int main() {
  std::printf("%s %s\n", deadbolt_engine(), deadbolt::to_string(deadbolt::protection()));
  return 0;
}
