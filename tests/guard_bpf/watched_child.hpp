// SPDX-License-Identifier: MIT
// A traced child whose death the BPF guard sees, and the guard's counters.
#ifndef DEADBOLT_TESTS_GUARD_BPF_WATCHED_CHILD_HPP
#define DEADBOLT_TESTS_GUARD_BPF_WATCHED_CHILD_HPP

#include "attached_guard.hpp"
#include "traced_child.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace guard_test {

// Offsets in the critical section that traced_child::forge_block() makes.
inline constexpr std::uint64_t owed = 45;
inline constexpr std::uint64_t nothing_owed = 55;
inline constexpr std::uint64_t outside = 60;

// One guard for all tests of a suite.
class watched_child_test : public testing::Test {
protected:
  static void SetUpTestSuite() {
    guard() = std::make_unique<attached_guard>(std::vector<std::string>{"--no-libc"});
  }
  static void TearDownTestSuite() { guard().reset(); }
  void SetUp() override {
    if (!guard()->refusal().empty()) GTEST_SKIP() << guard()->refusal();
    before_ = counts_now();
  }
  // Delivers the signal at which the child was stopped, and which kills it.
  static void deliver(traced_child& child) {
    ASSERT_EQ(child.get().resume(SIGUSR1), 0);
    child.end();
  }
  // The count since the test began. Other processes of the machine are counted as well.
  [[nodiscard]] std::uint64_t counted(deadbolt_bpf_counter which) const {
    return counts_now()[which] - before_[which];
  }

private:
  static std::unique_ptr<attached_guard>& guard() {
    static std::unique_ptr<attached_guard> instance;
    return instance;
  }
  deadbolt::guard::bpf_counts before_;
};

} // namespace guard_test
#endif
