// SPDX-License-Identifier: MIT
// Real libcs are measured; other files are refused; the sandbox forbids what it should.
#include "base/descriptor.hpp"
#include "guard/unlock_windows/elf_file.hpp"
#include "guard/unlock_windows/known_libcs.hpp"
#include "guard/unlock_windows/measure.hpp"
#include "guard/unlock_windows/sandbox.hpp"
#include "trace/process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <libc_paths.hpp>
#include <link.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace {

using namespace deadbolt::guard;
namespace fs = std::filesystem;

std::string path_of_musl() {
  for (const char* const path : libc_paths)
    if (std::string(path).find("musl") != std::string::npos) return path;
  return {};
}

// The path of the libc that this test runs with.
std::string own_libc() {
  std::string found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        const std::string name = info->dlpi_name;
        if (name.find("libc.so.6") != std::string::npos) *static_cast<std::string*>(out) = name;
        return 0;
      },
      &found);
  return found;
}

// What must hold of the windows of any libc.
void expect_sound(const measurement& found, const std::string& path) {
  std::string error;
  const auto bytes = read_whole_file(path, std::size_t{64} << 20, error);
  ASSERT_TRUE(bytes) << error;
  EXPECT_EQ(found.table.build_id, elf_file(*bytes).build_id());
  ASSERT_FALSE(found.table.windows.empty());
  bool owed = false;
  bool free = false;
  for (const libc_window& window : found.table.windows) {
    owed = owed || window.what.owed != 0;
    free = free || window.what.owed == 0;
    // The code is that of the file at the offset.
    const std::string code(window.code.begin(), window.code.end());
    std::size_t at = bytes->find(code);
    while (at != std::string::npos &&
           ((at + DEADBOLT_WINDOW_CODE_BEFORE) & 0xfff) != (window.offset & 0xfff))
      at = bytes->find(code, at + 1);
    EXPECT_NE(at, std::string::npos) << window.name;
  }
  EXPECT_TRUE(owed);
  EXPECT_TRUE(free);
}

TEST(measure, finds_the_windows_of_this_libc) {
  const std::string libc = own_libc();
  ASSERT_FALSE(libc.empty());
  std::string error;
  const auto found = measure_windows(libc, error);
  ASSERT_TRUE(found) << error;
  expect_sound(*found, libc);
  // An unlock with a waiter owes a wake for some instructions; an unlock without a waiter owes
  // none.
  const auto note = [&](const std::string& begin) {
    for (const std::string& each : found->notes)
      if (each.starts_with(begin)) return each;
    return std::string();
  };
  EXPECT_NE(note("robust, a waiter: ").find("a wake owed at "), std::string::npos);
  EXPECT_NE(note("robust: "), "");
  EXPECT_EQ(note("robust: ").find("owed"), std::string::npos);
  EXPECT_EQ(note("robust PI, a waiter: ").find("owed"), std::string::npos);
  EXPECT_TRUE(note("lock: ").starts_with("lock: 0 of "));
}

TEST(measure, finds_the_same_twice) {
  std::string error;
  const auto once = measure_windows(own_libc(), error);
  const auto twice = measure_windows(own_libc(), error);
  ASSERT_TRUE(once && twice) << error;
  EXPECT_EQ(format_window_table(once->table), format_window_table(twice->table));
}

TEST(measure, finds_the_windows_of_musl) {
  const std::string musl = path_of_musl();
  if (!fs::exists(musl)) GTEST_SKIP() << "no " << musl << " (package musl)";
  std::string error;
  const auto found = measure_windows(musl, error);
  ASSERT_TRUE(found) << error;
  expect_sound(*found, musl);
}

class scratch {
public:
  scratch() {
    char name[] = "/tmp/deadbolt-measure-test-XXXXXX";
    if (::mkdtemp(name) == nullptr) std::abort();
    path_ = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() { fs::remove_all(path_); }
  [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }
  [[nodiscard]] std::string path() const { return path_; }

private:
  fs::path path_;
};

TEST(measure, refuses_what_is_no_libc_and_says_so) {
  const scratch directory;
  std::ofstream(directory / "text") << "no shared object\n";
  std::string error;
  const auto real = read_whole_file(own_libc(), std::size_t{64} << 20, error);
  ASSERT_TRUE(real) << error;
  std::ofstream(directory / "cut", std::ios::binary) << real->substr(0, 5000);
  // Valid headers, and code that is not a libc.
  std::string spoiled = *real;
  std::fill(spoiled.begin() + static_cast<long>(spoiled.size() / 8),
            spoiled.begin() + static_cast<long>(spoiled.size() * 3 / 4), '\xcc');
  std::ofstream(directory / "spoiled", std::ios::binary) << spoiled;
  for (const std::string& path :
       {(directory / "text").string(), (directory / "cut").string(),
        (directory / "spoiled").string(), (directory / "nothing").string(), directory.path(),
        std::string("/dev/null"), std::string("/proc/self/exe")}) {
    EXPECT_FALSE(measure_windows(path, error)) << path;
    EXPECT_NE(error, "") << path;
  }
}

// The exit status of a child that does `what`.
template <class F>
int in_a_child(const F& what) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(what());
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

std::ifstream children_of(pid_t process) {
  const std::string number = std::to_string(process);
  return std::ifstream{"/proc/" + number + "/task/" + number + "/children"};
}
bool has_child(pid_t process) {
  pid_t child = 0;
  return static_cast<bool>(children_of(process) >> child);
}

// The worker of a measurement, stopped while the probe runs. Only root's changes its user.
class stopped_worker : public ::testing::Test {
protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "not root";
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    measurer_ = ::fork();
    if (measurer_ == 0) {
      std::string error;
      for (;;) static_cast<void>(measure_windows(own_libc(), error));
    }
    ASSERT_TRUE(deadbolt::trace::poll_until(
        [this] {
          struct ::stat found {};
          return children_of(measurer_) >> worker_ &&
                 ::stat(("/proc/" + std::to_string(worker_)).c_str(), &found) == 0 &&
                 found.st_uid == nobody && has_child(worker_) && ::kill(worker_, SIGSTOP) == 0;
        },
        deadbolt::trace::ample_time));
  }
  void TearDown() override {
    deadbolt::trace::kill_and_reap(measurer_);
    if (worker_ > 0) deadbolt::trace::kill_and_reap(worker_);
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  }
  static constexpr uid_t nobody = 65534;
  pid_t measurer_ = -1;
  pid_t worker_ = -1;
};

TEST_F(stopped_worker, ends_with_the_process_that_measures) {
  deadbolt::trace::kill_and_reap(std::exchange(measurer_, -1));
  int status = 0;
  EXPECT_TRUE(
      deadbolt::trace::poll_until([&] { return ::waitpid(worker_, &status, WNOHANG) == worker_; },
                                  deadbolt::trace::ample_time));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  worker_ = -1;
}

TEST_F(stopped_worker, has_files_that_the_libc_cannot_change) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(worker_) + "/fd")) {
    std::error_code gone;
    if (!fs::read_symlink(entry, gone).string().starts_with("/memfd:")) continue;
    const deadbolt::base::descriptor file{::open(entry.path().c_str(), O_RDONLY)};
    EXPECT_EQ(::fcntl(file.get(), F_GET_SEALS),
              F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)
        << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3) << "the probe, the libc and the loader";
}

TEST(sandbox, root_is_given_up_for_good) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  EXPECT_EQ(in_a_child([] {
              if (become_nobody() != 0) return 1;
              if (::getuid() == 0 || ::geteuid() == 0) return 2;
              if (::setuid(0) == 0 || ::setgid(0) == 0) return 3;
              if (::open("/etc/shadow", O_RDONLY) >= 0) return 4;
              return 0;
            }),
            0);
}

TEST(sandbox, leaves_nothing_to_write_to_and_nobody_to_hurt) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs more address space than the sandbox leaves";
#endif
  const scratch directory;
  const std::string file = directory / "file";
  const pid_t parent = ::getpid();
  EXPECT_EQ(in_a_child([&] {
              if (enter_sandbox() != 0) return 1;
              if (::open(file.c_str(), O_WRONLY | O_CREAT, 0600) >= 0) return 2;
              if (::socket(AF_INET, SOCK_STREAM, 0) >= 0) return 3;
              if (::kill(parent, 0) == 0) return 4;
              if (::ptrace(PTRACE_ATTACH, parent, nullptr, nullptr) == 0) return 5;
              if (::unlink(file.c_str()) == 0 || errno != ENOSYS) return 6;
              if (::chmod(directory.path().c_str(), 0777) == 0) return 7;
              const int readable = ::open("/proc/self/stat", O_RDONLY);
              return readable < 0 ? 8 : 0;
            }),
            0);
  EXPECT_FALSE(fs::exists(file));
}

window_table small_table() {
  return {.build_id = "0011223344556677",
          .windows = {{.offset = 0x10, .code = {}, .what = {DEADBOLT_CS_ALWAYS, 0}, .name = "f"}}};
}

TEST(cache, keeps_a_table) {
  const scratch directory;
  const std::string deep = directory / "a/b";
  ASSERT_TRUE(store_window_table(deep, small_table()));
  ASSERT_TRUE(store_window_table(deep, small_table())); // again
  const auto loaded = load_window_table(deep, small_table().build_id);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->windows.size(), 1u);
  EXPECT_FALSE(load_window_table(deep, "7766554433221100"));
  EXPECT_FALSE(load_window_table("", small_table().build_id));
  EXPECT_FALSE(store_window_table("", small_table()));
  EXPECT_EQ(std::distance(fs::directory_iterator(deep), fs::directory_iterator()), 1);
}

TEST(cache, is_not_believed_when_others_could_have_written_it) {
  const scratch directory;
  const std::string id = small_table().build_id;
  ASSERT_TRUE(store_window_table(directory.path(), small_table()));
  const std::string file = directory / window_table_file(id).c_str();
  ASSERT_TRUE(load_window_table(directory.path(), id));

  ASSERT_EQ(::chmod(file.c_str(), 0666), 0);
  EXPECT_FALSE(load_window_table(directory.path(), id)) << "writable file";
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(directory.path().c_str(), 0777), 0);
  EXPECT_FALSE(load_window_table(directory.path(), id)) << "writable directory";
  EXPECT_FALSE(store_window_table(directory.path(), small_table()));
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  EXPECT_TRUE(load_window_table(directory.path(), id));

  fs::rename(file, directory / "elsewhere");
  fs::create_symlink(directory / "elsewhere", file);
  EXPECT_FALSE(load_window_table(directory.path(), id)) << "symbolic link";
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  fs::remove(file);
  fs::rename(directory / "elsewhere", file);
  ASSERT_EQ(::chown(file.c_str(), 65534, 65534), 0);
  // root trusts only root's files
  EXPECT_FALSE(load_window_table(directory.path(), id)) << "another owner";
}

TEST(cache, of_another_libc_is_not_taken_for_it) {
  const scratch directory;
  window_table table = small_table();
  ASSERT_TRUE(store_window_table(directory.path(), table));
  fs::rename(directory / window_table_file("0011223344556677").c_str(),
             directory / window_table_file("8899aabbccddeeff").c_str());
  EXPECT_FALSE(load_window_table(directory.path(), "8899aabbccddeeff"));
}

} // namespace
