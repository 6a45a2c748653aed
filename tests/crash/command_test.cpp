// SPDX-License-Identifier: MIT
// deadbolt crash-test as a user runs it.
#include <command_output.hpp>

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <unistd.h>

namespace {

using deadbolt::testing::command_output;
using deadbolt::testing::run_command;

// Without the redirection of stderr that `arguments` may hold, stderr is the test's own.
command_output crash_test(const std::string& arguments) {
  return run_command(DEADBOLT_COMMAND " crash-test " + arguments);
}

// The quickest row that there is.
constexpr const char* quick = "--subject glibc --scenario woken --guard none ";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(crash_test_command, refuses_what_it_does_not_know) {
  const std::map<std::string, std::string> complaints{
      {"--subject nobody", "nobody"},
      {"--scenario nothing", "nothing"},
      {"--guard nothing", "nothing"},
      {"--engine steam", "steam"},
      {"--engine", "--engine"},
      {"--jobs 0", "--jobs"},
      {"--nonsense", "--nonsense"},
      {"stray", "stray"},
      {std::string{quick} + "--json /nonexistent/results.json", "/nonexistent/results.json"},
      {std::string{quick} + "--json /dev/full", "/dev/full"},
  };
  for (const auto& [arguments, part] : complaints) {
    const command_output result = crash_test(arguments + " 2>&1");
    EXPECT_EQ(result.status, 2) << arguments << "\n" << result.text;
    EXPECT_TRUE(contains(result.text, part)) << arguments << "\n" << result.text;
  }
}

TEST(crash_test_command, lists_what_it_knows) {
  const command_output result = crash_test("--list");
  EXPECT_EQ(result.status, 0);
  for (const char* const name :
       {"glibc", "robust_mutex", "glibc_pi", "robust_pi_mutex", "mutex", "reuse",
        "reuse_exit_group", "reuse_execve", "remap", "waiter", "handler", "exec_self",
        "exec_self_thread", "woken", "none", "ptrace", "local"})
    EXPECT_TRUE(contains(result.text, std::string{"\n  "} + name + " ")) << name;
}

TEST(crash_test_command, json_has_the_documented_shape) {
  const command_output result =
      crash_test("--subject robust_mutex --subject glibc --scenario reuse "
                 "--guard none --engine local --json -");
  const nlohmann::json report = nlohmann::json::parse(result.text);
  ASSERT_EQ(report["results"].size(), 6u); // two subjects, the three of the family
  for (const auto& row : report["results"]) {
    EXPECT_EQ(row["guard"], "none");
    EXPECT_EQ(row["engine"], row["subject"] == "glibc" ? "libc" : "local");
    EXPECT_EQ(row["family"], "reuse");
    EXPECT_EQ(row["kill_points"].get<int>(),
              row["owner_died"].get<int>() + row["intact"].get<int>() +
                  row["corrupted"].get<int>() + row["lost"].get<int>() +
                  row["stranded"].get<int>());
    EXPECT_EQ(row["not_judged"], 0) << row;
    EXPECT_GT(row["corrupted"].get<int>(), 0) << row;
    EXPECT_EQ(row["findings"].size(), row["corrupted"].get<std::size_t>());
    EXPECT_FALSE(row["decides"].get<bool>());
  }
  // Nothing here is both ours and protected.
  EXPECT_EQ(result.status, 0);
}

TEST(crash_test_command, a_protected_row_of_ours_decides) {
  const command_output result = crash_test("--subject robust_mutex --scenario remap --guard ptrace "
                                           "--json /dev/stderr 2>&1 >/dev/null");
  EXPECT_EQ(result.status, 0) << result.text;
  const nlohmann::json row = nlohmann::json::parse(result.text)["results"].at(0);
  EXPECT_TRUE(row["decides"].get<bool>());
  EXPECT_TRUE(row["protected"].get<bool>());
  EXPECT_EQ(row["corrupted"], 0);
}

TEST(crash_test_command, writes_the_table_beside_a_json_file) {
  char path[] = "/tmp/deadbolt-crash-test-XXXXXX";
  const int file = mkstemp(path);
  ASSERT_GE(file, 0);
  close(file);
  const command_output result = crash_test(std::string{quick} + "--json " + path);
  EXPECT_EQ(result.status, 0);
  EXPECT_TRUE(contains(result.text, "stranded")) << result.text;
  EXPECT_FALSE(contains(result.text, "\x1b")) << "colours without a terminal";
  std::ifstream stream{path};
  EXPECT_EQ(nlohmann::json::parse(stream)["results"].size(), 1u);
  unlink(path);
}

TEST(crash_test_command, says_why_when_it_is_traced_itself) {
  const command_output result =
      crash_test("--list >/dev/null && " DEADBOLT_COMMAND " run -- " DEADBOLT_COMMAND
                 " crash-test --subject glibc 2>&1");
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.text, "traced")) << result.text;
}

} // namespace
