// SPDX-License-Identifier: MIT
// A storm on every lock of this library under the BPF guard.
#include "attached_guard.hpp"
#include "short_storm.hpp"
#include "targets.hpp"

#include <gtest/gtest.h>

namespace {

TEST(guarded_storm, every_lock_of_ours_stands_one) {
  const guard_test::attached_guard guard({"--no-libc"});
  if (!guard.refusal().empty()) GTEST_SKIP() << guard.refusal();
  for (const auto& [subject, permits] : deadbolt::storm::all_targets()) {
    if (!subject->ours()) continue;
    const deadbolt::storm::options wanted = deadbolt::storm::short_storm(2);
    const deadbolt::storm::outcome result = deadbolt::storm::run(*subject, wanted, permits);
    EXPECT_EQ(result.violation, "") << subject->name();
    EXPECT_EQ(shortfall(result, wanted.time), "") << subject->name();
  }
}

} // namespace
