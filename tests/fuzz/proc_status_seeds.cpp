// SPDX-License-Identifier: MIT
// Writes this process's own status into a directory, for the fuzzer to damage.
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::ifstream from{"/proc/self/status"};
  std::ofstream to{argv[1] + std::string("/seed")};
  to << from.rdbuf();
  return from && to ? 0 : 1;
}
