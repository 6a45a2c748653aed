// SPDX-License-Identifier: MIT
// deadbolt windows, and the libcs of deadbolt run, as a user meets them.
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>

namespace {

struct output {
  int status = -1;
  std::string text; // stdout and stderr
};

output deadbolt(const std::string& arguments) {
  std::FILE* const pipe = popen((DEADBOLT_COMMAND " " + arguments + " 2>&1").c_str(), "r");
  output result;
  if (pipe == nullptr) return result;
  std::array<char, 4096> buffer{};
  std::size_t count = 0;
  while ((count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0)
    result.text.append(buffer.data(), count);
  const int ended = pclose(pipe);
  if (WIFEXITED(ended)) result.status = WEXITSTATUS(ended);
  return result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class scratch {
public:
  scratch() {
    char name[] = "/tmp/deadbolt-windows-command-test-XXXXXX";
    if (::mkdtemp(name) == nullptr) std::abort();
    path_ = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

TEST(windows_command, shows_the_windows_of_this_machines_libcs) {
  const output shown = deadbolt("windows --dry-run");
  EXPECT_EQ(shown.status, 0) << shown.text;
  for (const char* const part : {"build-id ", "offset", "owed", "always", "zf", "robust PI: "})
    EXPECT_TRUE(contains(shown.text, part)) << part << "\n" << shown.text;
  EXPECT_FALSE(contains(shown.text, "kept as"));
}

TEST(windows_command, keeps_a_table_where_it_is_told_to) {
  const scratch directory;
  const output kept = deadbolt("windows --keep-in " + directory.path());
  EXPECT_EQ(kept.status, 0) << kept.text;
  std::size_t tables = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
    EXPECT_EQ(file.path().extension(), ".windows");
    EXPECT_TRUE(contains(kept.text, "kept as " + file.path().string())) << kept.text;
    ++tables;
  }
  EXPECT_GE(tables, 1u);
}

TEST(windows_command, says_what_is_no_libc) {
  const output no_object = deadbolt("windows /etc/passwd");
  EXPECT_EQ(no_object.status, 1);
  EXPECT_TRUE(contains(no_object.text, "/etc/passwd: not a shared object")) << no_object.text;
  EXPECT_EQ(deadbolt("windows /nonexistent").status, 2);
  EXPECT_EQ(deadbolt("windows --nonsense").status, 2);
}

TEST(windows_command, works_where_children_are_ignored) {
  struct sigaction ignored {};
  struct sigaction before {};
  ignored.sa_handler = SIG_IGN;
  // The shell in between keeps an ignored signal ignored.
  const output shown = deadbolt("windows --dry-run");
  ::sigaction(SIGCHLD, &ignored, &before);
  const std::string command = DEADBOLT_COMMAND " windows --dry-run > /dev/null 2>&1 && echo well";
  std::FILE* const pipe = popen(("trap '' CHLD; " + command).c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::array<char, 16> buffer{};
  const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe);
  pclose(pipe);
  ::sigaction(SIGCHLD, &before, nullptr);
  EXPECT_EQ(std::string(buffer.data(), count), "well\n") << shown.text;
}

TEST(run_command, guards_no_libc_when_told_so) {
  EXPECT_EQ(deadbolt("run --no-libc -- true").status, 0);
}

TEST(run_command, says_which_libc_that_it_was_given_is_none) {
  const output ran = deadbolt("run --libc /etc/passwd -- echo ran");
  EXPECT_EQ(ran.status, 0);
  EXPECT_TRUE(contains(ran.text, "the locks of /etc/passwd are not guarded: ")) << ran.text;
  EXPECT_TRUE(contains(ran.text, "ran\n")) << ran.text;
}

} // namespace
