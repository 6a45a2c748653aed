// SPDX-License-Identifier: MIT
// Kills a program wherever it changes memory that others share.
#ifndef DEADBOLT_TESTS_KILL_AFTER_EACH_CHANGE_HPP
#define DEADBOLT_TESTS_KILL_AFTER_EACH_CHANGE_HPP

#include <child_process.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::testing {

// The memory that a traced child changes, and what it held when last looked at.
class watched_memory {
public:
  watched_memory(const void* memory, std::size_t size) : memory_{memory}, seen_(size) { look(); }
  // Whether it has changed since the last look.
  bool look() {
    if (std::memcmp(seen_.data(), memory_, seen_.size()) == 0) return false;
    std::memcpy(seen_.data(), memory_, seen_.size());
    return true;
  }

private:
  const void* memory_;
  std::vector<std::byte> seen_;
};

// A child that is stopped before body(), and traced.
class stepped_body {
public:
  template <class Body>
  explicit stepped_body(Body& body) : pid_{fork()} {
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      body();
      _exit(0);
    }
    stopped_ = pid_ > 0 && await_stop();
  }
  stepped_body(const stepped_body&) = delete;
  stepped_body& operator=(const stepped_body&) = delete;
  ~stepped_body() { kill(); }

  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] int status() const { return status_; }
  // One instruction; to the next entry into or exit from a system call.
  void step() { run(PTRACE_SINGLESTEP); }
  void to_system_call() { run(PTRACE_SYSCALL); }
  void kill() {
    if (!stopped_) return;
    ::kill(pid_, SIGKILL);
    while (await_stop()) {
    }
  }

private:
  void run(__ptrace_request how) {
    ptrace(how, pid_, nullptr, nullptr);
    stopped_ = await_stop();
  }
  bool await_stop() {
    while (waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    return stopped_ = WIFSTOPPED(status_);
  }

  pid_t pid_;
  int status_ = 0;
  bool stopped_ = false;
};

// Runs body() in one child after another. The first is killed at the first instruction that
// changed the memory, the second at the second one, and so on; the last ends by itself. Calls
// check() before the first and after each. Between two changes every instruction leaves the same
// memory: killed there, the child leaves what another trial has left, and a lock that it holds.
// (Lock and unlock themselves, which also have state in the thread's own memory, are crash-test's.)
//
// Returns how many children were killed, 0 if body() failed.
template <class Body, class Check>
int kill_after_each_change(const void* memory, std::size_t size, Body body, Check check) {
  check(); // also for what a first use of a lock does in this process, once
  // Up to the last system call before the first change the child is not stepped.
  int quiet_calls = 0;
  {
    watched_memory watched{memory, size};
    stepped_body child{body};
    for (int calls = 0; child.stopped(); ++calls) {
      if (watched.look()) break;
      quiet_calls = calls;
      child.to_system_call();
    }
  }
  check();
  for (int kills = 1;;) {
    watched_memory watched{memory, size};
    stepped_body child{body};
    for (int calls = 0; child.stopped() && calls < quiet_calls; ++calls) child.to_system_call();
    if (watched.look()) {
      // This child made fewer system calls than the first: what killed children leave in a
      // region's table costs the next one some. Killed here it counts for nothing.
      child.kill();
      check();
      if (quiet_calls == 0) {
        ADD_FAILURE() << "the first change comes before the first system call";
        return kills;
      }
      quiet_calls -= std::min(quiet_calls, 8);
      continue;
    }
    int changes = 0;
    while (child.stopped() && changes < kills) {
      child.step();
      if (watched.look()) ++changes;
    }
    if (!child.stopped()) {
      check();
      return WIFEXITED(child.status()) && WEXITSTATUS(child.status()) == 0 ? kills - 1 : 0;
    }
    child.kill();
    check();
    if (::testing::Test::HasFailure()) return kills;
    ++kills;
  }
}

} // namespace deadbolt::testing
#endif
