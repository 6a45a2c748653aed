// SPDX-License-Identifier: MIT
// The repair rule applied to a stopped thread whose registers, critical section, robust list and
// lock word are forged: what the guard writes, and what it must not write.
#include "guard/ptrace/stop_handler.hpp"
#include "traced_child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace deadbolt::guard;
using guard_test::child_page;
using guard_test::traced_child;

constexpr std::uint64_t owed = 45;
constexpr std::uint64_t nothing_owed = 55;
constexpr std::uint64_t outside = 60;

std::uint32_t tid_of(const traced_child& child) {
  return static_cast<std::uint32_t>(child.pid());
}

TEST(repair_thread, clears_the_slot_and_says_where) {
  traced_child child;
  const std::uint64_t block = child.forge_block();
  child.set_pending();
  child.page().word = 0xabcdef;
  child.move_to(block + nothing_owed);
  const auto entry = reinterpret_cast<std::uint64_t>(child.page().head.list_op_pending);
  const repair_report report = repair_thread(child.pid());
  EXPECT_STREQ(to_string(report.outcome), "cleared");
  EXPECT_FALSE(child.is_pending());
  EXPECT_EQ(report.tid, child.pid());
  EXPECT_EQ(report.ip.value(), block + nothing_owed);
  EXPECT_EQ(report.slot.value(),
            reinterpret_cast<std::uint64_t>(&child.page().head.list_op_pending));
  EXPECT_EQ(report.entry, entry);
  EXPECT_EQ(report.word.value(), reinterpret_cast<std::uint64_t>(&child.page().word));
  EXPECT_EQ(child.page().word, 0xabcdefU);
}

TEST(repair_thread, leaves_a_thread_outside_the_window_alone) {
  traced_child child;
  const std::uint64_t block = child.forge_block();
  child.set_pending();
  child.move_to(block + outside);
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::not_needed);
  child.move_to(block + nothing_owed, 0x23); // 32-bit code
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::not_needed);
  EXPECT_TRUE(child.is_pending());
}

TEST(repair_thread, survives_an_ip_in_the_void) {
  traced_child child;
  child.set_pending();
  for (const std::uint64_t ip : {0UL, 127UL, 0x7fffffffffffUL, ~0UL >> 17, 0xffffffffff600000UL}) {
    child.move_to(ip);
    EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::not_needed) << ip;
  }
  EXPECT_TRUE(child.is_pending());
}

TEST(repair_thread, recognises_a_block_in_the_last_bytes_of_a_mapping) {
  void* pages = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(::mprotect(static_cast<char*>(pages) + 4096, 4096, PROT_NONE), 0);
  traced_child child;
  child.forge_block();
  auto* last = static_cast<unsigned char*>(pages) + 4096 - sizeof child.page().block;
  std::memcpy(last, child.page().block, sizeof child.page().block);
  last[20] = 128; // window_end
  child.set_pending();
  child.move_to(reinterpret_cast<std::uint64_t>(last) + 127);
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::cleared);
  EXPECT_FALSE(child.is_pending());
  ::munmap(pages, 8192);
}

TEST(repair_thread, says_when_nothing_is_pending) {
  traced_child child;
  child.move_to(child.forge_block() + nothing_owed);
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::nothing_pending);
}

TEST(repair_thread, survives_a_thread_without_a_robust_list) {
  traced_child child([](child_page&) {
    ::syscall(SYS_set_robust_list, nullptr, sizeof(robust_list_head));
    ::kill(::getpid(), SIGUSR1);
  });
  child.move_to(child.forge_block() + nothing_owed);
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::no_robust_list);
}

TEST(repair_thread, survives_a_robust_list_in_the_void) {
  traced_child child([](child_page&) {
    ::syscall(SYS_set_robust_list, 0xdead000UL, sizeof(robust_list_head));
    ::kill(::getpid(), SIGUSR1);
  });
  child.move_to(child.forge_block() + nothing_owed);
  const repair_report report = repair_thread(child.pid());
  EXPECT_EQ(report.outcome, repair_outcome::refused);
  EXPECT_TRUE(report.error == EIO || report.error == EFAULT) << report.error;
}

TEST(repair_thread, does_not_touch_a_thread_that_is_not_stopped) {
  EXPECT_EQ(repair_thread(::getpid()).outcome, repair_outcome::thread_gone);
}

TEST(repair_with_a_wake_owed, clears_when_the_walk_would_write_into_the_word) {
  traced_child child;
  child.set_pending();
  child.page().word = tid_of(child) | FUTEX_WAITERS;
  child.move_to(child.forge_block() + owed);
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::cleared);
  EXPECT_FALSE(child.is_pending());
}

TEST(repair_with_a_wake_owed, leaves_an_entry_that_the_walk_cannot_write_to) {
  traced_child child;
  child.move_to(child.forge_block() + owed);
  for (const std::uint64_t entry : {0xdead000UL, 0xdead002UL, ~0UL, 1UL}) {
    child.page().head.list_op_pending = reinterpret_cast<robust_list*>(entry);
    EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::left_to_kernel) << entry;
    EXPECT_TRUE(child.is_pending());
  }
}

// Sleeps on the word until it is woken; the exit status is futex(2)'s errno value.
pid_t start_waiter(child_page& page, std::uint32_t value) {
  const pid_t waiter = ::fork();
  if (waiter != 0) return waiter;
  const timespec too_long{.tv_sec = 20, .tv_nsec = 0};
  const long result = ::syscall(SYS_futex, &page.word, FUTEX_WAIT, value, &too_long, nullptr, 0);
  ::_exit(result == 0 ? 0 : errno);
}

void wait_until_it_sleeps(pid_t pid) {
  for (;;) {
    std::FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/syscall").c_str(), "r");
    long number = -1;
    const bool in_futex = file && std::fscanf(file, "%ld", &number) == 1 && number == SYS_futex;
    if (file) std::fclose(file);
    if (in_futex) return;
    ::sched_yield();
  }
}

TEST(repair_with_a_wake_owed, leaves_the_wake_to_the_kernel_which_does_it) {
  traced_child child;
  child.set_pending();
  child.page().word = 0;
  const pid_t waiter = start_waiter(child.page(), 0);
  wait_until_it_sleeps(waiter);
  child.move_to(child.forge_block() + owed);
  ASSERT_EQ(child.kill().kind, deadbolt::trace::stop_kind::exiting);
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::left_to_kernel);
  child.end();
  int status = 0;
  ASSERT_EQ(::waitpid(waiter, &status, 0), waiter);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the waiter was not woken";
  EXPECT_EQ(child.page().word, 0U);
}

TEST(repair_with_a_wake_owed, compares_the_tid_of_the_threads_own_pid_namespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "a PID namespace takes root";
  traced_child child({}, CLONE_NEWPID);
  ASSERT_NE(child.pid(), 1);
  EXPECT_EQ(namespace_tid(child.pid()), 1);
  child.set_pending();
  child.move_to(child.forge_block() + owed);
  child.page().word = tid_of(child);
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::left_to_kernel);
  child.page().word = 1;
  EXPECT_EQ(repair_thread(child.pid()).outcome, repair_outcome::cleared);
}

// The value of a word that equaled the TID, after a death in the window. `see` is called at each
// stop.
template <class Handler>
std::uint32_t word_after_death(std::uint64_t place, Handler see) {
  traced_child child;
  child.set_pending();
  child.page().word = tid_of(child);
  child.move_to(child.forge_block() + place);
  const deadbolt::trace::stop_event exiting = child.kill();
  EXPECT_EQ(exiting.kind, deadbolt::trace::stop_kind::exiting);
  see(exiting);
  child.end();
  return child.page().word == tid_of(child) ? 0 : child.page().word.load();
}

TEST(stop_handler, repairs_at_the_exit_stop_before_the_walk) {
  for (const std::uint64_t place : {owed, nothing_owed}) {
    stop_handler guard;
    EXPECT_EQ(word_after_death(
                  place, [&](const deadbolt::trace::stop_event& event) { guard.handle(event); }),
              0U);
    EXPECT_EQ(guard.counts().repaired_at_exit, 1U);
    EXPECT_EQ(guard.counts().repaired_at_signal, 0U);
  }
}

TEST(stop_handler, is_what_makes_the_difference) {
  EXPECT_EQ(word_after_death(nothing_owed, [](const deadbolt::trace::stop_event&) {}),
            FUTEX_OWNER_DIED);
}

} // namespace
