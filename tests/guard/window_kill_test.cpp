// SPDX-License-Identifier: MIT
// A program dies in its unlock window, in every way there is. Under `deadbolt run` the word that is
// no longer its lock stays as it is. Without the guard it changes, which shows that the test can
// fail.
#include "run_harness.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <linux/futex.h>

namespace {

using namespace guard_test;

struct death {
  const char* name;
  const char* mode; // of guard_victim
  void (*kill)(victim&);
};

void by_sigkill(victim& target) {
  ::kill(target.pid(), SIGKILL);
}
void by_sigterm(victim& target) {
  ::kill(target.pid(), SIGTERM);
}
void by_exit_group(victim& target) {
  target.memory().other_thread = order::exit_group;
}
void by_execve(victim& target) {
  target.memory().other_thread = order::execve;
}
void in_its_handler(victim& target) {
  ::kill(target.pid(), SIGUSR1);
  ASSERT_TRUE(eventually([&] { return target.memory().in_handler == 1; }));
  ::kill(target.pid(), SIGKILL);
}

const death deaths[] = {
    {"sigkill", "main", by_sigkill},
    {"a_fatal_signal", "main", by_sigterm},
    {"sigkill_in_a_handler", "handler", in_its_handler},
    {"sigkill_of_a_thread", "thread", by_sigkill},
    {"exit_group_by_another_thread", "thread", by_exit_group},
    {"execve_by_another_thread", "leader", by_execve},
    {"execve_by_the_leader", "thread", by_execve},
    {"sigkill_of_a_forked_child", "fork", by_sigkill},
    {"sigkill_of_a_vforked_child", "vfork", by_sigkill},
    {"sigkill_after_execve", "exec", by_sigkill},
    {"sigkill_after_execve_by_a_thread", "exec_by_thread", by_sigkill},
    {"sigkill_of_a_daemon", "daemon", by_sigkill},
};

// The value of the reused word after the victim's death, and the victim's TID.
void die(const death& how, bool under_guard, std::uint32_t& word, std::uint32_t& tid) {
  victim target(how.mode, under_guard);
  ASSERT_TRUE(eventually([&] { return target.is_in_window(); })) << target.process().output();
  target.reuse_the_word();
  ASSERT_NO_FATAL_FAILURE(how.kill(target));
  ASSERT_TRUE(eventually([&] { return target.is_gone(); }));
  word = target.memory().word;
  tid = target.memory().tid;
}

class window_death : public testing::TestWithParam<death> {};

TEST_P(window_death, spares_reused_memory_under_deadbolt_run) {
  std::uint32_t word = 0;
  std::uint32_t tid = 0;
  ASSERT_NO_FATAL_FAILURE(die(GetParam(), true, word, tid));
  EXPECT_EQ(word, tid);
}

TEST_P(window_death, corrupts_reused_memory_without_a_guard) {
  std::uint32_t word = 0;
  std::uint32_t tid = 0;
  ASSERT_NO_FATAL_FAILURE(die(GetParam(), false, word, tid));
  EXPECT_EQ(word, FUTEX_OWNER_DIED) << "this test could not have failed under a guard either";
}

INSTANTIATE_TEST_SUITE_P(by, window_death, testing::ValuesIn(deaths),
                         [](const auto& one) { return std::string(one.param.name); });

// The guard has not run yet. The exit stop must last until it does, however often the dying process
// is killed again.
class second_kill : public testing::TestWithParam<const char*> {};

TEST_P(second_kill, does_not_end_the_exit_stop) {
  victim target(GetParam(), true);
  ASSERT_TRUE(eventually([&] { return target.is_in_window(); })) << target.process().output();
  target.reuse_the_word();
  const auto guard = static_cast<pid_t>(status_number(target.tid(), "TracerPid:"));
  ASSERT_GT(guard, 0);
  ::kill(guard, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return process_state(guard) == 'T'; })); // and go on, or it stays so
  ::kill(target.pid(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return process_state(target.tid()) == 't'; }));
  for (const int signal : {SIGKILL, SIGTERM, SIGCONT, SIGKILL}) {
    ::kill(target.pid(), signal);
    EXPECT_EQ(process_state(target.tid()), 't');
  }
  ::kill(guard, SIGCONT);
  ASSERT_TRUE(eventually([&] { return target.is_gone(); }));
  EXPECT_EQ(target.memory().word, target.memory().tid);
}

INSTANTIATE_TEST_SUITE_P(of, second_kill, testing::Values("main", "thread", "leader"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST(window_survival, a_program_that_is_not_killed_leaves_its_window_and_ends_as_ever) {
  victim target("main", true, {"--verbose"});
  ASSERT_TRUE(eventually([&] { return target.is_in_window(); }));
  target.memory().go = 1;
  const std::string output = target.process().output();
  EXPECT_EQ(WEXITSTATUS(target.process().wait()), 5);
  EXPECT_NE(output.find("repaired 0 at exit and 0 at a signal"), std::string::npos) << output;
}

TEST(window_survival, verbose_counts_what_was_repaired) {
  victim target("main", true, {"--verbose"});
  ASSERT_TRUE(eventually([&] { return target.is_in_window(); }));
  ::kill(target.pid(), SIGKILL);
  const std::string output = target.process().output();
  EXPECT_EQ(WEXITSTATUS(target.process().wait()), 128 + SIGKILL);
  EXPECT_NE(output.find("repaired 1 at exit and 0 at a signal"), std::string::npos) << output;
}

} // namespace
