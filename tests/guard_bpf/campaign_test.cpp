// SPDX-License-Identifier: MIT
// crash-test under the BPF guard, and without it.
#include "attached_guard.hpp"
#include "attack.hpp"

#include <cstdio>
#include <tuple>

namespace deadbolt::crash {
namespace {

row attack_and_print(std::string_view subject, std::string_view scenario, std::string_view guard) {
  row result = attack(subject_named(subject), scenario, guard_named(guard), 120);
  std::printf("%s", table_of({&result, 1}, false).c_str());
  return result;
}

// Runs before the guard is attached.
class unguarded : public testing::TestWithParam<std::string_view> {};
TEST_P(unguarded, libc_is_corrupted) {
  if (guard::look_at_bpf_guard().counts) GTEST_SKIP() << "another process's guard is attached";
  const row row = attack_and_print(GetParam(), "reuse", "none");
  EXPECT_GT(row.count(outcome::corrupted), 0u) << describe(row);
  EXPECT_EQ(row.not_judged, 0u) << describe(row);
}
INSTANTIATE_TEST_SUITE_P(in, unguarded, testing::Values("glibc", "glibc_pi"));

// One guard for all tests that follow.
const guard_test::attached_guard& the_guard() {
  static const guard_test::attached_guard guard;
  return guard;
}

using subject_and_scenario = std::tuple<std::string_view, std::string_view>;

class under_bpf : public testing::TestWithParam<subject_and_scenario> {
protected:
  void SetUp() override {
    if (!the_guard().refusal().empty()) GTEST_SKIP() << the_guard().refusal();
  }
  static row attack_param() {
    const auto [subject, scenario] = GetParam();
    row result = attack_and_print(subject, scenario, "bpf");
    EXPECT_EQ(result.not_judged, 0u) << describe(result);
    EXPECT_GT(result.kill_points(), 20u);
    return result;
  }
};

class ours : public under_bpf {};
TEST_P(ours, is_clean) {
  const row row = attack_param();
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}
INSTANTIATE_TEST_SUITE_P(in, ours,
                         testing::Combine(testing::Values("robust_mutex", "robust_pi_mutex"),
                                          testing::ValuesIn(scenario_names())));

// The libc's locks in programs that have the preload library, whose blocks the guard knows: no
// window is owed, in a handler neither. The victim releases them in pthread_mutex_unlock or in
// pthread_cond_wait.
INSTANTIATE_TEST_SUITE_P(preloaded, ours,
                         testing::Combine(testing::Values("glibc_preload", "glibc_preload_pi"),
                                          testing::ValuesIn(scenario_names())));
INSTANTIATE_TEST_SUITE_P(
    preloaded_in_cond_wait, ours,
    testing::Combine(testing::Values("glibc_preload_cond", "glibc_preload_pi_cond"),
                     testing::Values("reuse", "remap", "handler", "exec_self")));

// The libc's locks, in scenarios without owed windows that a handler interrupts.
class libc : public under_bpf {};
TEST_P(libc, is_clean) {
  const row row = attack_param();
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::stranded), 0u) << describe(row);
}
INSTANTIATE_TEST_SUITE_P(in, libc,
                         testing::Combine(testing::Values("glibc", "glibc_pi"),
                                          testing::Values("reuse", "reuse_exit_group",
                                                          "reuse_execve", "remap", "waiter")));
INSTANTIATE_TEST_SUITE_P(in_handlers, libc,
                         testing::Combine(testing::Values("glibc_pi"),
                                          testing::Values("handler", "exec_self", "woken")));

// A handler that interrupted an owed window is not covered: some kill points stay corrupted.
class owed_windows : public under_bpf {};
TEST_P(owed_windows, are_what_is_left) {
  const row row = attack_param();
  EXPECT_EQ(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::stranded), 0u) << describe(row);
  // Fewer than the 13 of the same libc without a guard.
  EXPECT_LT(row.count(outcome::corrupted), 13u) << describe(row);
}
INSTANTIATE_TEST_SUITE_P(in, owed_windows,
                         testing::Combine(testing::Values("glibc"),
                                          testing::Values("handler", "exec_self")));

// Not windows. The kernel decides whether a woken waiter that dies strands the next waiter, and it
// does not find the locks of a thread that calls execve.
class kernels_own : public under_bpf {};
TEST_P(kernels_own, is_what_it_is) {
  const row row = attack_param();
  // No more than the owed windows of a handler.
  EXPECT_LT(row.count(outcome::corrupted), 13u) << describe(row);
}
INSTANTIATE_TEST_SUITE_P(in, kernels_own,
                         testing::Values(subject_and_scenario{"glibc", "woken"},
                                         subject_and_scenario{"glibc", "exec_self_thread"},
                                         subject_and_scenario{"glibc_pi", "exec_self_thread"}));

} // namespace
} // namespace deadbolt::crash
