// SPDX-License-Identifier: MIT
// A forked child that cannot outlive its test.
#ifndef DEADBOLT_TESTS_CHILD_PROCESS_HPP
#define DEADBOLT_TESTS_CHILD_PROCESS_HPP

#include <watchdog.hpp>

#include <csignal>
#include <gtest/gtest.h>
#include <ostream>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace deadbolt::testing {

// How a child ended: "exit 3" or "signal 11", so that a failed comparison reads well.
struct ending {
  bool by_signal;
  int number;
  friend bool operator==(const ending&, const ending&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ending& e) {
    return out << (e.by_signal ? "signal " : "exit ") << e.number;
  }
};
constexpr ending exited(int status) {
  return {false, status};
}
constexpr ending killed_by(int signal) {
  return {true, signal};
}

// Ends the child that runs this as failed, with a line that says which check failed.
#define CHILD_EXPECT(condition)                                                                    \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      std::fprintf(stderr, "%s:%d: in child: not true: %s\n", __FILE__, __LINE__, #condition);     \
      _exit(99);                                                                                   \
    }                                                                                              \
  } while (false)

class child_process {
public:
  // Runs body() in a child, which exits with 0, or with the int that body returns.
  template <class Body>
  explicit child_process(Body body) : pid_{fork()} {
    if (pid_ == 0) run(std::move(body));
    if (pid_ < 0) {
      std::perror("fork");
      std::abort();
    }
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process() {
    if (pid_ <= 0) return;
    kill();
    static_cast<void>(wait());
  }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void kill(int signal = SIGKILL) const noexcept { ::kill(pid_, signal); }

  // Waits for the child's end; kills a child that takes too long, and reports that.
  [[nodiscard]] ending wait() noexcept {
    const auto start = std::chrono::steady_clock::now();
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() - start > patience) {
        std::fprintf(stderr, "watchdog: child %d does not end\n", pid_);
        kill();
        waitpid(std::exchange(pid_, 0), nullptr, 0);
        return killed_by(SIGALRM);
      }
      const timespec moment{.tv_sec = 0, .tv_nsec = 200'000};
      nanosleep(&moment, nullptr);
    }
    pid_ = 0;
    if (WIFSIGNALED(status)) return killed_by(WTERMSIG(status));
    return exited(WEXITSTATUS(status));
  }

private:
  template <class Body>
  [[noreturn]] static void run(Body&& body) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(static_cast<unsigned>(2 * patience.count()));
    if constexpr (std::is_same_v<decltype(body()), int>) {
      _exit(body());
    } else {
      body();
      _exit(0);
    }
  }

  pid_t pid_;
};

template <class Body>
ending run_in_child(Body&& body) {
  return child_process{std::forward<Body>(body)}.wait();
}

} // namespace deadbolt::testing
#endif
