// SPDX-License-Identifier: MIT
// real_programs lmdb|tdb KILLS [SEED]: exit status 0 if the database was whole in every check and
// no process hung.
#include "kills.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: real_programs lmdb|tdb KILLS [SEED]\n", stderr);
    return 2;
  }
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 0) : std::random_device{}();
  std::printf("real_programs %s: seed %llu\n", argv[1], static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  try {
    const auto result = real_programs::kill_workers(
        argv[1], static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)), seed);
    std::printf("real_programs %s: %u kills, %llu changes: %s\n", argv[1], result.kills,
                static_cast<unsigned long long>(result.changes),
                result.trouble.empty() ? "whole, and nobody hung" : result.trouble.c_str());
    return result.trouble.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("real_programs %s: %s\n", argv[1], error.what());
    return 1;
  }
}
