// SPDX-License-Identifier: MIT
#include "kills.hpp"

#include "kinds.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <new>
#include <random>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace real_programs {
namespace {

constexpr unsigned workers = 3;
constexpr unsigned check_every = 50;
constexpr std::chrono::seconds patience{200};

// A directory in /dev/shm if there is one, because the databases write and sync a lot. A child
// removes the directory when this process and all of its workers are gone, killed or not.
class scratch_directory {
public:
  scratch_directory() {
    std::error_code error;
    path_ = std::filesystem::is_directory("/dev/shm", error) ? "/dev/shm" : "/tmp";
    path_ += "/deadbolt-real-programs-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp");
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    alive_ = ends[1];
    cleaner_ = ::fork();
    if (cleaner_ == 0) {
      ::setsid();
      ::close(ends[1]);
      char byte;
      while (::read(ends[0], &byte, 1) != 0 && errno == EINTR) {
      }
      std::filesystem::remove_all(path_, error);
      ::_exit(0);
    }
    ::close(ends[0]);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    ::close(alive_);
    if (cleaner_ > 0) ::waitpid(cleaner_, nullptr, 0);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
  int alive_ = -1;
  pid_t cleaner_ = -1;
};

struct board {
  std::atomic<std::uint64_t> changes{0};
  std::atomic<bool> failed{false};
};

template <class F>
pid_t start(const F& body) {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  std::string wrong;
  try {
    wrong = body();
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  if (!wrong.empty()) std::fprintf(stderr, "real_programs: %s\n", wrong.c_str());
  ::_exit(wrong.empty() ? 0 : 1);
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

void pause_for(std::chrono::nanoseconds time) {
  const timespec pause{0, static_cast<long>(time.count())};
  ::nanosleep(&pause, nullptr);
}

class arena {
public:
  arena(std::string_view kind, std::uint64_t seed) : kind_(kind), random_(seed) {
    void* const memory =
        ::mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    board_ = new (memory) board;
    // This process holds the database open while workers are killed and replaced, and is never
    // killed: tdb clears the database when a process opens it that no other process has open.
    keeper_ = start([this] {
      const auto database = open_database(kind_, directory_.path());
      board_->changes.fetch_add(1);
      for (;;) ::pause();
      return std::string();
    });
    if (!gets_on(0)) {
      end(keeper_);
      throw std::runtime_error("the database cannot be opened");
    }
    for (pid_t& worker : workers_) worker = start_worker();
  }
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena() {
    for (const pid_t child : workers_) end(child);
    end(keeper_);
    ::munmap(board_, sizeof(board));
  }

  // Kills one worker; returns a description of what is wrong then, or an empty string.
  std::string kill_one() {
    pid_t& victim = workers_[random_() % workers];
    pause_for(std::chrono::microseconds(random_() % 2000));
    end(victim);
    victim = 0;
    if (board_->failed.load()) return "a worker met an error";
    if (!gets_on(board_->changes.load())) return "nobody gets on";
    victim = start_worker();
    return {};
  }

  std::string check() {
    const pid_t checker =
        start([this] { return open_database(kind_, directory_.path())->check(); });
    const auto end_of_patience = std::chrono::steady_clock::now() + patience;
    int status = 0;
    while (::waitpid(checker, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > end_of_patience) {
        end(checker);
        return "the check hangs";
      }
      pause_for(std::chrono::milliseconds(1));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : "the check fails";
  }

  [[nodiscard]] std::uint64_t changes() const { return board_->changes.load(); }

private:
  static void end(pid_t child) {
    if (child <= 0) return;
    ::kill(child, SIGKILL);
    wait_for(child);
  }

  pid_t start_worker() {
    const std::uint64_t seed = random_();
    return start([this, seed] {
      std::mt19937_64 random(seed);
      std::string wrong;
      try {
        const auto database = open_database(kind_, directory_.path());
        while (wrong.empty()) {
          wrong = database->change(static_cast<unsigned>(random() % records));
          board_->changes.fetch_add(1);
        }
      } catch (const std::exception& error) {
        wrong = error.what();
      }
      board_->failed.store(true);
      return wrong;
    });
  }

  bool gets_on(std::uint64_t from) {
    const auto end_of_patience = std::chrono::steady_clock::now() + patience;
    while (board_->changes.load() == from) {
      if (std::chrono::steady_clock::now() > end_of_patience) return false;
      pause_for(std::chrono::microseconds(50));
    }
    return true;
  }

  std::string kind_;
  std::mt19937_64 random_;
  scratch_directory directory_;
  board* board_ = nullptr;
  pid_t keeper_ = 0;
  std::array<pid_t, workers> workers_{};
};

} // namespace

std::unique_ptr<database> open_database(std::string_view kind, const std::string& directory) {
  if (kind == "lmdb") return open_lmdb(directory);
  if (kind == "tdb") return open_tdb(directory);
  throw std::runtime_error("no database is called " + std::string(kind));
}

kills_result kill_workers(std::string_view kind, unsigned kills, std::uint64_t seed) {
  kills_result result;
  arena arena(kind, seed);
  while (result.kills < kills && result.trouble.empty()) {
    result.trouble = arena.kill_one();
    ++result.kills;
    if (result.trouble.empty() && (result.kills % check_every == 0 || result.kills == kills))
      result.trouble = arena.check();
  }
  result.changes = arena.changes();
  return result;
}

} // namespace real_programs
