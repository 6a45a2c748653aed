// SPDX-License-Identifier: MIT
// The stepper leads a traced child by instructions, to a breakpoint, and into its sleep.
#include "trace/process.hpp"
#include "trace/stepper.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace deadbolt::trace {
namespace {

struct shared_page {
  std::atomic<std::uint32_t> word{0};
  std::atomic<std::uint32_t> passes{0};
};

shared_page* page;

[[gnu::noinline]] void pass() {
  page->passes.fetch_add(1);
}

// Runs `body` in a child, which is stopped in front of it.
class stepper_test : public testing::Test {
protected:
  void SetUp() override {
    void* const memory = mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    page = new (memory) shared_page;
  }
  void TearDown() override {
    if (child_ > 0) kill_and_reap(child_);
    munmap(page, sizeof(shared_page));
  }
  // The child's stepper, stopped by SIGSTOP; empty if ptrace is refused.
  stepper start(void (*body)()) {
    child_ = launch([body] {
      if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
      raise(SIGSTOP);
      body();
      for (;;) pause();
    });
    stepper made{child_};
    stop_event stop;
    EXPECT_EQ(made.thread().wait(stop), 0);
    EXPECT_EQ(stop.signal, SIGSTOP);
    EXPECT_EQ(made.thread().set_options(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
    EXPECT_EQ(made.look(), 0);
    return made;
  }
  pid_t child_ = -1;
};

TEST_F(stepper_test, executes_one_instruction_at_a_time) {
  stepper child = start([] { pass(); });
  const address before = child.at().ip();
  ASSERT_EQ(child.step(), stepper::result::trapped);
  EXPECT_NE(child.at().ip(), before);
}

// On a processor without atomic instructions that is a loop of a load and a store exclusive, which
// would never end if it were stopped inside at each step.
TEST_F(stepper_test, steps_through_an_atomic_operation) {
  stepper child = start([] { pass(); });
  ASSERT_EQ(child.run_to(address{reinterpret_cast<std::uint64_t>(&pass)}, ample_time),
            stepper::result::trapped);
  constexpr int most_steps = 1000;
  for (int steps = 0; page->passes.load() == 0; ++steps) {
    ASSERT_LT(steps, most_steps);
    ASSERT_EQ(child.step(), stepper::result::trapped);
  }
}

TEST_F(stepper_test, stops_at_a_breakpoint_and_leaves_the_code_as_it_was) {
  stepper child = start([] {
    pass();
    pass();
  });
  const address place{reinterpret_cast<std::uint64_t>(&pass)};
  std::uint64_t code = 0;
  ASSERT_EQ(child.thread().read(place, &code, sizeof code), 0);
  for (std::uint32_t passes = 0; passes < 2; ++passes) {
    ASSERT_EQ(child.run_to(place, ample_time), stepper::result::trapped);
    EXPECT_EQ(child.at().ip(), place);
    EXPECT_EQ(child.code(), code);
    EXPECT_EQ(page->passes.load(), passes);
    ASSERT_EQ(child.step(), stepper::result::trapped);
  }
}

TEST_F(stepper_test, refuses_a_breakpoint_where_nothing_is_mapped) {
  stepper child = start([] { pass(); });
  const address before = child.at().ip();
  EXPECT_EQ(child.run_to(address{64}, ample_time), stepper::result::refused);
  ASSERT_EQ(child.look(), 0);
  EXPECT_EQ(child.at().ip(), before);
}

TEST_F(stepper_test, reports_death_instead_of_a_breakpoint) {
  stepper child = start([] { _exit(3); });
  EXPECT_EQ(child.run_to(address{reinterpret_cast<std::uint64_t>(&pass)}, ample_time),
            stepper::result::stopped);
  EXPECT_EQ(child.last_stop().kind, stop_kind::ended);
  EXPECT_EQ(WEXITSTATUS(child.last_stop().status), 3);
  child_ = -1;
}

TEST_F(stepper_test, notices_a_thread_that_sleeps_on_its_way_to_a_breakpoint) {
  if (const std::string refusal = find_proc_refusal(); !refusal.empty()) GTEST_SKIP() << refusal;
  stepper child = start([] {
    syscall(SYS_futex, &page->word, FUTEX_WAIT, 0, nullptr);
    pass();
  });
  EXPECT_EQ(child.run_to(address{reinterpret_cast<std::uint64_t>(&pass)}, ample_time),
            stepper::result::asleep);
  EXPECT_EQ(page->passes.load(), 0u);
}

TEST_F(stepper_test, gives_up_on_a_thread_that_reaches_no_breakpoint) {
  stepper child = start([] {
    for (;;) pause();
  });
  EXPECT_EQ(
      child.run_to(address{reinterpret_cast<std::uint64_t>(&pass)}, std::chrono::milliseconds{10}),
      stepper::result::stuck);
}

TEST_F(stepper_test, follows_a_thread_into_its_sleep_and_out_of_it) {
  if (const std::string refusal = find_proc_refusal(); !refusal.empty()) GTEST_SKIP() << refusal;
  stepper child = start([] {
    static_cast<void>(getppid()); // a call in which it does not sleep
    syscall(SYS_futex, &page->word, FUTEX_WAIT, 0, nullptr);
  });
  ASSERT_EQ(child.run_to_sleep(ample_time), stepper::result::asleep);
  EXPECT_EQ(child.await_wake(std::chrono::milliseconds{1}), stepper::result::asleep);
  EXPECT_EQ(syscall(SYS_futex, &page->word, FUTEX_WAKE, 1), 1);
  ASSERT_EQ(child.await_wake(ample_time), stepper::result::trapped);
  EXPECT_EQ(child.at().result(), 0u);
}

TEST(launch, child_ends_with_the_thread_that_launched_it) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t parent = launch([&] {
    const pid_t child = launch([] {
      for (;;) pause();
    });
    static_cast<void>(write(ends[1], &child, sizeof child));
  });
  close(ends[1]);
  pid_t child = 0;
  ASSERT_EQ(read(ends[0], &child, sizeof child), ssize_t{sizeof child});
  // The child's end closes its copy of the pipe's write end.
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 0);
  close(ends[0]);
  EXPECT_EQ(waitpid(parent, nullptr, 0), parent);
}

} // namespace
} // namespace deadbolt::trace
