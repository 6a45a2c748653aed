// SPDX-License-Identifier: MIT
// If a filter refuses or skips FUTEX_WAKE_OP, the word is still owned although the IP is in the
// window. These tests must also catch a mutant: a guard that looks at the IP alone, and so loses
// the lock.
#include "traced_child.hpp"

#include "guard/ptrace/stop_handler.hpp"

#include <csignal>
#include <cstddef>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// src/robust/arch/x86_64/robust_futex_unlock.S
extern "C" {
std::uint32_t deadbolt_local_futex_unlock(void* word, robust_list_head* head,
                                          std::uint32_t expected);
void deadbolt_local_futex_unlock_contended();
}

namespace {

using namespace deadbolt::guard;
using guard_test::child_page;
using guard_test::traced_child;

void answer_wake_op(std::uint32_t action) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE_OP, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    ::_exit(3);
}

constexpr std::uint32_t no_action = SECCOMP_RET_ALLOW;

// Unlocks a contended word; a filter takes this action on its FUTEX_WAKE_OP.
traced_child::part unlock_under(std::uint32_t action) {
  return [action](child_page& page) {
    if (action != no_action) answer_wake_op(action);
    const auto tid = static_cast<std::uint32_t>(::getpid());
    page.word = tid | FUTEX_WAITERS;
    page.head.list_op_pending =
        reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(&page.word) + 32);
    ::kill(::getpid(), SIGUSR1);
    deadbolt_local_futex_unlock(&page.word, &page.head, tid);
  };
}

// Steps to the first instruction behind the block's system call.
bool step_into_the_window(traced_child& child) {
  const std::uint64_t block = deadbolt_block_address(
      reinterpret_cast<std::uint64_t>(deadbolt_local_futex_unlock_contended));
  const std::uint64_t begin =
      block + reinterpret_cast<const deadbolt_critical_section*>(block)->window_begin;
  for (int steps = 0; steps < 5000; ++steps) {
    child.step();
    deadbolt::trace::registers regs;
    if (child.get().get_registers(regs) != 0) return false;
    if (regs.ip().value() == begin) return true;
  }
  return false;
}

enum class judgement { free, marked, lost };

judgement judge(std::uint32_t word) {
  if ((word & FUTEX_TID_MASK) != 0) return judgement::lost;
  return (word & FUTEX_OWNER_DIED) != 0 ? judgement::marked : judgement::free;
}

using repairer = void (*)(traced_child&);

void real_guard(traced_child& child) {
  static_cast<void>(repair_thread(child.pid()));
}
void guard_that_believes_the_ip(traced_child& child) {
  child.page().head.list_op_pending = nullptr;
}

// Kills the child at the window's first instruction.
judgement kill_in_the_window(std::uint32_t action, repairer repair) {
  traced_child child(unlock_under(action));
  EXPECT_TRUE(step_into_the_window(child));
  repair(child);
  EXPECT_EQ(child.kill().kind, deadbolt::trace::stop_kind::exiting);
  repair(child);
  child.end();
  return judge(child.page().word);
}

const std::uint32_t answers[] = {
    SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ERRNO | EFAULT,
    SECCOMP_RET_TRACE, // no such tracer: skipped, -ENOSYS
    SECCOMP_RET_TRAP,  // rolled back: SIGSYS, 202 in rax
};

class answered_wake_op : public testing::TestWithParam<std::uint32_t> {};

TEST_P(answered_wake_op, leaves_the_word_owned_and_the_kernel_marks_it) {
  EXPECT_EQ(kill_in_the_window(GetParam(), real_guard), judgement::marked);
}

TEST_P(answered_wake_op, is_lost_by_a_guard_that_believes_the_ip) {
  EXPECT_EQ(kill_in_the_window(GetParam(), guard_that_believes_the_ip), judgement::lost);
}

INSTANTIATE_TEST_SUITE_P(by_seccomp, answered_wake_op, testing::ValuesIn(answers));

TEST(performed_wake_op, is_a_release_and_leaves_nothing_to_mark) {
  EXPECT_EQ(kill_in_the_window(no_action, real_guard), judgement::free);
}

} // namespace
