// SPDX-License-Identifier: MIT
// The command as a user runs it.
#include <command_output.hpp>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace {

using deadbolt::testing::command_output;
using deadbolt::testing::run_command;

const std::set<std::string> every_check{"kernel",  "libc",       "processors",   "robust list",
                                        "engine",  "protection", "ptrace guard", "BPF guard",
                                        "preload", "live check"};

std::string level_of(const nlohmann::json& report, const std::string& check) {
  for (const auto& found : report["findings"]) {
    if (found["check"] == check) return found["level"];
  }
  return "missing";
}

TEST(doctor_command, json_has_every_check_and_agrees_with_the_exit_status) {
  const command_output result = run_command(DEADBOLT_COMMAND " doctor --json");
  const nlohmann::json report = nlohmann::json::parse(result.text);
  std::set<std::string> seen;
  bool any_broken = false;
  for (const auto& found : report["findings"]) {
    seen.insert(found["check"].get<std::string>());
    const std::string level = found["level"];
    EXPECT_TRUE(level == "ok" || level == "warning" || level == "broken") << level;
    EXPECT_NE(found["what"].get<std::string>(), "");
    EXPECT_EQ(level == "ok", found["what_to_do"].get<std::string>().empty()) << found;
    any_broken = any_broken || level == "broken";
  }
  EXPECT_EQ(seen, every_check);
  EXPECT_EQ(report["broken"], any_broken);
  EXPECT_EQ(result.status, any_broken ? 1 : 0);
  EXPECT_EQ(level_of(report, "live check"), "ok");
}

TEST(doctor_command, every_line_opens_with_its_level) {
  const command_output result = run_command(DEADBOLT_COMMAND " doctor");
  EXPECT_EQ(result.status, 0);
  for (const std::string& check : every_check) {
    const std::size_t at = result.text.find(" " + check + " ");
    ASSERT_NE(at, std::string::npos) << check << " in\n" << result.text;
    const std::size_t line = result.text.rfind('\n', at) + 1;
    const std::string start = result.text.substr(line, 8);
    EXPECT_TRUE(start.starts_with("ok") || start.starts_with("warning")) << start;
  }
}

TEST(doctor_command, guard_is_seen_by_what_it_guards) {
  const command_output direct = run_command(DEADBOLT_COMMAND " doctor --json");
  const nlohmann::json before = nlohmann::json::parse(direct.text);
  if (level_of(before, "ptrace guard") != "ok") GTEST_SKIP() << "ptrace is refused here";
  const command_output guarded =
      run_command(DEADBOLT_COMMAND " run -- " DEADBOLT_COMMAND " doctor --json");
  const nlohmann::json report = nlohmann::json::parse(guarded.text);
  EXPECT_EQ(level_of(report, "protection"), "ok") << guarded.text;
  EXPECT_EQ(level_of(report, "live check"), "ok");
}

TEST(doctor_command, bad_option_is_bad_usage) {
  EXPECT_EQ(run_command(DEADBOLT_COMMAND " doctor --no-such-option 2>&1").status, 2);
}

TEST(doctor_command, engine_that_is_not_there_is_named_with_those_that_are) {
  const command_output result =
      run_command("DEADBOLT_ENGINE=nonsense " DEADBOLT_COMMAND " doctor 2>&1");
  EXPECT_EQ(result.status, 127);
  for (const char* word : {"DEADBOLT_ENGINE", "no nonsense", " local", "unset"})
    EXPECT_NE(result.text.find(word), std::string::npos) << word << " in\n" << result.text;
}

// A sandbox without robust lists: the kernel answers get_robust_list with ENOSYS.
void refuse_robust_lists() {
  std::array filter{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                    sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_get_robust_list, 0, 1),
                    sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                    sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    ::_exit(99);
  }
}

TEST(doctor_command, machine_without_robust_lists_is_broken) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    refuse_robust_lists();
    const command_output result = run_command(DEADBOLT_COMMAND " doctor --json 2>/dev/null");
    const nlohmann::json report = nlohmann::json::parse(result.text, nullptr, false);
    const bool as_wanted = result.status == 1 && !report.is_discarded() && report["broken"] &&
                           level_of(report, "robust list") == "broken" &&
                           level_of(report, "live check") == "broken";
    if (!as_wanted) std::fprintf(stderr, "status %d\n%s\n", result.status, result.text.c_str());
    ::_exit(as_wanted ? 0 : 1);
  }
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

} // namespace
