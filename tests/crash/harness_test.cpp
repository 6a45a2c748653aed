// SPDX-License-Identifier: MIT
// The harness's own parts, and what it leaves behind.
#include "attack.hpp"

#include "crash/victim.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::crash {
namespace {

TEST(find_damage, sees_one_bit_anywhere_in_the_lock_s_pages) {
  const trial_memory memory{subject_named("glibc")};
  fill_with_tid(memory.lock(), memory.lock_length(), 4711);
  EXPECT_EQ(find_damage(memory.lock(), memory.lock_length(), 4711), "");
  auto* const bytes = static_cast<unsigned char*>(memory.lock());
  for (std::size_t i = 0; i < memory.lock_length(); ++i) {
    bytes[i] ^= 0x40;
    EXPECT_NE(find_damage(memory.lock(), memory.lock_length(), 4711), "") << i;
    bytes[i] ^= 0x40;
  }
}

TEST(stopover, is_close_to_the_goal_and_passed_seldom) {
  std::vector<std::uint64_t> path{1, 2};
  for (int turn = 0; turn < 100; ++turn)
    for (std::uint64_t instruction = 10; instruction < 50; ++instruction)
      path.push_back(instruction);
  path.push_back(3);
  for (std::size_t goal = 0; goal < path.size(); ++goal) {
    const stopover found = find_stopover(path, goal);
    const auto begin = path.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(found.index);
    ASSERT_LE(found.index, goal);
    ASSERT_EQ(found.passes, std::count(begin, end, *end));
    // A turn of the loop has 40 instructions, and there are 100 turns.
    ASSERT_LE(goal - found.index, 40u);
  }
  EXPECT_EQ(find_stopover(path, 1).passes, 0u);
  EXPECT_EQ(find_stopover(path, path.size() - 1).index, path.size() - 1);
}

// A waiter reads the clock through the vDSO before it goes to sleep.
TEST(victim, runs_through_the_clock_as_one_instruction) {
  if (!clock_in_vdso()) GTEST_SKIP() << "the vDSO of this process has no clock";
  const subject& target = subject_named("robust_mutex");
  const trial_memory memory{target};
  target.create(memory.lock());
  for (std::size_t i = 0; i < trial_memory::companions; ++i) target.create(memory.companion(i));
  const helper_process owner{target};
  ASSERT_EQ(owner.channel().call(action::try_lock, memory.lock()), grant::acquired);
  victim waiter{target, guard_named("none"), memory, {.operation = stepped_operation::lock}};
  const path_store store{1};
  const std::uint32_t steps = waiter.advance(UINT32_MAX, &store[0], nullptr);

  const auto instructions = store[0].instructions();
  ASSERT_EQ(instructions.size(), steps);
  const auto is_clock = [](std::uint64_t at) { return at == clock_in_vdso().value(); };
  const auto in_vdso = [](std::uint64_t at) { return is_in_vdso(trace::address{at}); };
  EXPECT_GT(std::count_if(instructions.begin(), instructions.end(), is_clock), 0);
  EXPECT_EQ(std::count_if(instructions.begin(), instructions.end(), in_vdso),
            std::count_if(instructions.begin(), instructions.end(), is_clock));
}

row with_counts(std::string_view subject, std::string_view scenario, std::string_view guard,
                std::array<std::uint32_t, outcomes> counts) {
  row row{.target = &subject_named(subject),
          .attack = &scenario_named(scenario),
          .guard = &guard_named(guard)};
  row.counts = counts;
  return row;
}

// owner died, intact, corrupted, lost, stranded
TEST(row, is_judged_by_the_worst_that_counts) {
  const auto judge = [](std::string_view scenario, std::array<std::uint32_t, outcomes> counts) {
    return with_counts("robust_mutex", scenario, "ptrace", counts).judge();
  };
  EXPECT_EQ(judge("reuse", {10, 10, 0, 0, 0}), standing::clean);
  EXPECT_EQ(judge("reuse", {10, 10, 1, 0, 0}), standing::unclean);
  EXPECT_EQ(judge("reuse", {10, 10, 0, 1, 0}), standing::unclean);
  EXPECT_EQ(judge("waiter", {10, 10, 0, 0, 1}), standing::unclean);
  EXPECT_EQ(judge("reuse", {0, 0, 0, 0, 0}), standing::unclean) << "nothing was tried";
  EXPECT_EQ(judge("exec_self_thread", {0, 10, 0, 10, 0}), standing::clean) << "a kernel limit";
  EXPECT_EQ(judge("exec_self_thread", {0, 10, 1, 10, 0}), standing::unclean);
  EXPECT_EQ(with_counts("mutex", "exec_self_thread", "none", {0, 10, 0, 10, 0}).judge(),
            standing::unclean)
      << "it has evidence of its own";
  row failed = with_counts("robust_mutex", "reuse", "ptrace", {10, 10, 0, 0, 0});
  failed.not_judged = 1;
  EXPECT_EQ(failed.judge(), standing::unclean);
  EXPECT_EQ(with_counts("glibc", "reuse", "ptrace", {0, 0, 9, 9, 9}).judge(), standing::comparison);
}

// As when no waiter is seen to sleep, without /proc: nothing is known of the operation's length.
TEST(table, names_no_instruction_where_none_is_known) {
  row failed = with_counts("glibc", "waiter", "none", {0, 0, 0, 0, 0});
  failed.not_judged = 1;
  failed.findings.push_back({"lock", std::nullopt, {}, "not judged", "a waiter neither slept"});
  const std::string table = describe(failed);
  EXPECT_NE(table.find("not judged: lock, in its first run: a waiter neither slept"),
            std::string::npos)
      << table;
  EXPECT_TRUE(json_of({&failed, 1})["results"][0]["findings"][0]["kill_at"].is_null());
}

TEST(table, stands_in_columns_whatever_the_names) {
  for (const subject* const subject : all_subjects())
    for (const scenario* const scenario : all_scenarios()) {
      const std::array rows{
          with_counts(subject->name(), scenario->name(), "ptrace", {7, 0, 0, 0, 0})};
      const std::string table = table_of(rows, false);
      const std::size_t header_end = table.find('\n');
      const std::size_t column_end = table.find("points") + std::string_view{"points"}.size();
      EXPECT_EQ(table.substr(header_end + column_end - 1, 2), " 7") << table;
    }
}

TEST(summary, has_a_line_for_each_lock_and_protection_that_fits_80_columns) {
  std::vector<row> rows;
  for (const subject* const subject : all_subjects())
    for (const std::string_view scenario : {"reuse", "waiter"})
      rows.push_back(with_counts(subject->name(), scenario, "ptrace", {7000, 100, 0, 0, 0}));
  const std::string text = summary_of(rows, {});
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    EXPECT_LE(line.size(), 80u) << line;
    if (line.find("ptrace guard") == std::string::npos) continue;
    ++lines;
    EXPECT_NE(line.find(" 14200 "), std::string::npos) << line; // both scenarios together
  }
  EXPECT_EQ(lines, all_subjects().size());
  const auto clean = std::count_if(rows.begin(), rows.end(),
                                   [](const row& each) { return each.judge() == standing::clean; });
  EXPECT_GT(clean, 0);
  EXPECT_TRUE(
      text.ends_with("All " + std::to_string(clean) + " protected rows of ours are clean.\n"))
      << text;
}

TEST(summary, names_each_row_that_is_not_clean) {
  std::array rows{with_counts("robust_mutex", "reuse", "ptrace", {10, 10, 0, 0, 0}),
                  with_counts("robust_mutex", "remap", "ptrace", {10, 10, 2, 0, 0})};
  rows[1].findings.push_back({"unlock", 5, "unlock+0x1", "corrupted", "data became other data"});
  const std::string text = summary_of(rows, {});
  EXPECT_NE(text.find("NOT CLEAN: robust_mutex, remap, protection ptrace guard: 2 corrupted"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("corrupted: unlock + 5 instructions, unlock+0x1: data became other data"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("NOT CLEAN: robust_mutex, reuse"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("1 of 2 protected rows of ours are NOT CLEAN.\n")) << text;
}

// The test is the subreaper: processes that a killed campaign left behind become its children.
TEST(a_killed_campaign, leaves_no_process) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t campaign = fork();
  if (campaign == 0) {
    static_cast<void>(
        run_campaign({.subjects = {&subject_named("glibc")},
                      .scenarios = {&scenario_named("reuse_execve"), &scenario_named("woken")},
                      .guards = {&guard_named("ptrace")},
                      .on_progress = [&](std::size_t, std::size_t) {
                        static_cast<void>(write(ends[1], "", 1));
                      }}));
    _exit(0);
  }
  ASSERT_GT(campaign, 0);
  close(ends[1]);
  std::array<char, 20> progress{};
  for (std::size_t got = 0; got < progress.size();) {
    const ssize_t count = read(ends[0], progress.data(), progress.size() - got);
    ASSERT_GT(count, 0) << "the campaign ended before it could be killed";
    got += static_cast<std::size_t>(count);
  }
  kill(campaign, SIGKILL);
  // Every waitpid reaps one; ECHILD is the end of them all.
  const bool all_gone = trace::poll_until(
      [] {
        while (waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
        }
        return waitpid(-1, nullptr, WNOHANG | __WALL) < 0 && errno == ECHILD;
      },
      trace::ample_time);
  EXPECT_TRUE(all_gone);
  close(ends[0]);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

} // namespace
} // namespace deadbolt::crash
