// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_TESTS_OWN_DIRECTORY_HPP
#define DEADBOLT_TESTS_OWN_DIRECTORY_HPP

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace deadbolt::testing {

// A directory of the test's own in /dev/shm, and in it the name of a region.
class own_directory {
public:
  explicit own_directory(const std::string& test) {
    const std::string prefix = "deadbolt-" + test + "-";
    // What tests that were killed have left.
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", error)) {
      const std::string file = entry.path().filename();
      if (!file.starts_with(prefix)) continue;
      const int pid = std::atoi(file.c_str() + prefix.size());
      if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH)
        std::filesystem::remove_all(entry.path(), error);
    }
    std::string pattern = "/dev/shm/" + prefix + std::to_string(getpid()) + "-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
    path_ = directory_ + "/region";
  }
  own_directory(const own_directory&) = delete;
  own_directory& operator=(const own_directory&) = delete;
  ~own_directory() {
    std::error_code error;
    if (getpid() == owner_) std::filesystem::remove_all(directory_, error);
  }

  [[nodiscard]] const std::string& name() const noexcept { return directory_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
  pid_t owner_ = getpid();
  std::string directory_;
  std::string path_;
};

// A fixture with one.
class in_own_directory : public ::testing::Test {
protected:
  explicit in_own_directory(const std::string& test)
      : own_directory_{test}, directory{own_directory_.name()}, path{own_directory_.path()} {}

private:
  own_directory own_directory_;

protected:
  const std::string directory;
  const std::string path;
};

} // namespace deadbolt::testing
#endif
