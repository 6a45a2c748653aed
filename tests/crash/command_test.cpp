// SPDX-License-Identifier: MIT
// deadbolt crash-test as a user runs it.
#include <command_output.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

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
      {"--subject glibc_refused --scenario woken", "nothing was attacked"},
      {std::string{quick} + "--json /nonexistent/results.json", "/nonexistent/results.json"},
      {std::string{quick} + "--json /dev/full", "/dev/full"},
      {std::string{quick} + "--table /nonexistent/table", "/nonexistent/table"},
      {std::string{quick} + "--table /dev/full", "/dev/full"},
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
        "exec_self_thread", "reaped", "reaped_apart", "woken", "none", "ptrace", "local"})
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
  // No row here is both this library's and protected.
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

// A name for a file of this test.
class scratch_file {
public:
  scratch_file() {
    const int file = mkstemp(path_);
    if (file >= 0) close(file);
  }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  ~scratch_file() { unlink(path_); }
  [[nodiscard]] const char* path() const { return path_; }

private:
  char path_[40] = "/tmp/deadbolt-crash-test-XXXXXX";
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(crash_test_command, prints_a_summary_and_writes_table_and_json_to_files) {
  const scratch_file json;
  const scratch_file table;
  const command_output result =
      crash_test(std::string{quick} + "--json " + json.path() + " --table " + table.path());
  EXPECT_EQ(result.status, 0);
  EXPECT_TRUE(contains(result.text, "\nglibc                    none")) << result.text;
  EXPECT_EQ(lines_of(result.text).back(), "No protected row of ours in this run.");
  std::ifstream json_stream{json.path()};
  EXPECT_EQ(nlohmann::json::parse(json_stream)["results"].size(), 1u);
  std::ifstream table_stream{table.path()};
  const std::string rows{std::istreambuf_iterator<char>{table_stream}, {}};
  EXPECT_TRUE(contains(rows, "\nglibc                    woken            none")) << rows;
}

TEST(crash_test_command, verbose_prints_the_table_with_all_findings) {
  const command_output result =
      crash_test("--subject glibc --scenario reuse --guard none --verbose");
  EXPECT_EQ(result.status, 0);
  EXPECT_TRUE(contains(result.text, "\nglibc                    reuse_execve     none"))
      << result.text;
  EXPECT_TRUE(contains(result.text, "\n    corrupted: unlock + ")) << result.text;
}

TEST(crash_test_command, log_has_no_colours_and_no_carriage_returns) {
  const command_output result = crash_test(std::string{quick} + "2>&1");
  EXPECT_FALSE(contains(result.text, "\x1b")) << result.text;
  EXPECT_FALSE(contains(result.text, "\r")) << result.text;
  for (const std::string& line : lines_of(result.text)) EXPECT_LE(line.size(), 80u) << line;
}

// The command on a terminal of its own. What it prints, without the terminal's carriage returns at
// the ends of lines.
std::string in_terminal(const std::string& command, unsigned short columns) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return "no terminal";
  const int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  winsize size{};
  size.ws_row = 24;
  size.ws_col = columns;
  ioctl(slave, TIOCSWINSZ, &size);
  const pid_t child = fork();
  if (child == 0) {
    for (const int standard : {0, 1, 2}) dup2(slave, standard);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  close(slave);
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(master, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(count));
  close(master);
  waitpid(child, nullptr, 0);
  for (std::size_t at = 0; (at = text.find("\r\n", at)) != std::string::npos;) text.erase(at, 1);
  return text;
}

// Without the sequences that set colours or erase.
std::string without_escapes(std::string text) {
  for (std::size_t at = 0; (at = text.find('\x1b', at)) != std::string::npos;)
    text.erase(at, text.find_first_of("mK", at) - at + 1);
  return text;
}

TEST(crash_test_command, terminal_has_colours_unless_they_are_unwanted) {
  // A limit of every kernel: some locks are lost, and the line is yellow.
  const std::string command =
      DEADBOLT_COMMAND " crash-test --subject glibc --scenario exec_self_thread --guard none";
  EXPECT_TRUE(contains(in_terminal("TERM=xterm " + command, 80), "\x1b[33mglibc  "));
  EXPECT_FALSE(contains(in_terminal("TERM=xterm NO_COLOR=1 " + command, 80), "mglibc"));
  EXPECT_FALSE(contains(in_terminal("TERM=dumb " + command, 80), "\x1b"));
}

TEST(crash_test_command, fits_a_narrow_terminal) {
  for (const unsigned short columns : std::array<unsigned short, 3>{20, 40, 78}) {
    const std::string text = without_escapes(
        in_terminal(std::string{"TERM=xterm " DEADBOLT_COMMAND " crash-test "} + quick, columns));
    EXPECT_TRUE(contains(text, "glibc, none:")) << text;
    for (const std::string& line : lines_of(text)) {
      std::istringstream parts{line}; // the progress bar starts anew with each carriage return
      for (std::string part; std::getline(parts, part, '\r');)
        EXPECT_LE(part.size(), std::max<std::size_t>(columns, 38)) << part;
    }
  }
}

// With no option: the first lines, before the attack of every instruction begins.
TEST(crash_test_command, shows_first_how_glibc_corrupts_a_file) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execl(DEADBOLT_COMMAND, DEADBOLT_COMMAND, "crash-test", nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::string text;
  char byte = 0;
  const auto shown = [&] { return contains(text, "INTACT\n\n") || text.size() > 4000; };
  while (!shown() && read(ends[0], &byte, 1) == 1) text += byte;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ends[0]);

  const std::vector<std::string> lines = lines_of(text);
  EXPECT_LE(lines.size(), 24u) << text;
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80u) << line;
  const auto bytes_after = [&](std::size_t title, const char* label) {
    for (std::size_t i = title; i < lines.size(); ++i)
      if (contains(lines[i], label)) return lines[i].substr(10, 47);
    return std::string{"none"};
  };
  const auto line_with = [&](const char* part) {
    return static_cast<std::size_t>(
        std::ranges::find_if(lines, [&](const auto& line) { return contains(line, part); }) -
        lines.begin());
  };
  const std::size_t glibc = line_with("glibc's robust mutex, killed at ");
  const std::size_t ours = line_with("deadbolt::mutex, killed at ");
  EXPECT_EQ(bytes_after(ours, "before"), bytes_after(ours, "after")) << text;
  // The kernel replaces the number that it takes for the TID by FUTEX_OWNER_DIED, 0x40000000.
  const std::string damaged = "00 00 00 40" + bytes_after(glibc, "before").substr(11);
  if (contains(text, "CORRUPTED")) {
    EXPECT_EQ(bytes_after(glibc, "after"), damaged) << text;
  } else {
    GTEST_SKIP() << "the libc's unlock is protected on this machine:\n" << text;
  }
}

TEST(crash_test_command, says_what_is_missing_without_proc) {
  if (run_command("unshare --mount true 2>&1").status != 0)
    GTEST_SKIP() << "a mount namespace is not permitted";
  const command_output result =
      run_command(std::string{"unshare --mount sh -c 'umount -l /proc && exec " DEADBOLT_COMMAND
                              " crash-test "} +
                  quick + "' 2>&1");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_TRUE(contains(result.text, "mount /proc")) << result.text;
}

TEST(crash_test_command, says_why_when_it_is_traced_itself) {
  const command_output result =
      crash_test("--list >/dev/null && " DEADBOLT_COMMAND " run -- " DEADBOLT_COMMAND
                 " crash-test --subject glibc 2>&1");
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.text, "traced")) << result.text;
}

} // namespace
