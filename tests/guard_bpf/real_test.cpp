// SPDX-License-Identifier: MIT
// LMDB and tdb under the BPF guard: 1,000 kills each.
#include "attached_guard.hpp"
#include "kills.hpp"

#include <cstdio>
#include <gtest/gtest.h>
#include <random>

namespace {

class real_program : public testing::TestWithParam<const char*> {};

TEST_P(real_program, stays_whole_and_nobody_hangs) {
  const guard_test::attached_guard guard;
  if (!guard.refusal().empty()) GTEST_SKIP() << guard.refusal();
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  const auto result = real_programs::kill_workers(GetParam(), 1000, seed);
  const auto counts = guard_test::counts_now();
  std::printf("figure %s: %u kills, %llu changes, %llu repairs in the libc, %llu wakes left to the "
              "kernel\n",
              GetParam(), result.kills, static_cast<unsigned long long>(result.changes),
              static_cast<unsigned long long>(counts[DEADBOLT_BPF_LIBC_CLEARS]),
              static_cast<unsigned long long>(counts[DEADBOLT_BPF_LEFT_TO_KERNEL]));
  EXPECT_EQ(result.trouble, "");
  EXPECT_EQ(result.kills, 1000u);
}

INSTANTIATE_TEST_SUITE_P(in, real_program, testing::Values("lmdb", "tdb"));

} // namespace
