// SPDX-License-Identifier: MIT
// The BPF guard and threads whose code, registers and robust list are forged: what the guard
// writes, and what it must not write.
#include "watched_child.hpp"

#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using namespace deadbolt::guard;
using guard_test::child_page;
using guard_test::counts_now;
using guard_test::nothing_owed;
using guard_test::outside;
using guard_test::owed;
using guard_test::traced_child;

// The guard does not fault: memory that it reads must be in the child's page table, as running code
// and a list head in use are.
void touch(const unsigned char* page) {
  static_cast<void>(*static_cast<const volatile unsigned char*>(page));
}

class hostile : public guard_test::watched_child_test {};

TEST_F(hostile, a_window_with_nothing_owed_is_cleared) {
  traced_child child;
  const std::uint64_t block = child.forge_block();
  child.set_pending();
  child.page().word = 0xabcdef;
  child.move_to(block + nothing_owed);
  deliver(child);
  EXPECT_FALSE(child.is_pending());
  EXPECT_EQ(child.page().word, 0xabcdefU);
  EXPECT_GE(counted(DEADBOLT_BPF_BLOCK_CLEARS), 1u);
  EXPECT_GE(counted(DEADBOLT_BPF_SIGNALS), 1u);
}

TEST_F(hostile, outside_the_window_nothing_is_done) {
  for (const std::uint64_t offset : {0UL, 39UL, outside, 127UL}) {
    traced_child child;
    const std::uint64_t block = child.forge_block();
    child.set_pending();
    child.move_to(block + offset);
    deliver(child);
    EXPECT_TRUE(child.is_pending()) << offset;
  }
}

// 64-bit code's list is not that of 32-bit code.
TEST_F(hostile, nothing_is_done_in_32_bit_code_without_a_list_of_its_own) {
  traced_child child;
  const std::uint64_t block = child.forge_block();
  child.set_pending();
  child.move_to(block + nothing_owed, 0x23);
  deliver(child);
  EXPECT_TRUE(child.is_pending());
}

TEST_F(hostile, a_block_with_any_damage_is_none) {
  for (std::size_t i = 0; i < sizeof(deadbolt_critical_section); ++i) {
    // Other offsets in these bytes are still well-formed.
    if (i >= 17 && i <= 20) continue;
    traced_child child;
    const std::uint64_t block = child.forge_block();
    child.page().block[i] ^= 0x40;
    child.set_pending();
    child.move_to(block + nothing_owed);
    deliver(child);
    EXPECT_TRUE(child.is_pending()) << i;
  }
}

TEST_F(hostile, a_wake_that_is_owed_is_left_to_the_kernel_unless_the_word_has_the_tid) {
  traced_child other;
  other.set_pending();
  other.page().word = 0xabcdef;
  other.move_to(other.forge_block() + owed);
  deliver(other);
  EXPECT_TRUE(other.is_pending());
  EXPECT_GE(counted(DEADBOLT_BPF_LEFT_TO_KERNEL), 1u);

  traced_child own;
  const auto tid = static_cast<std::uint32_t>(own.pid());
  own.set_pending();
  own.page().word = tid;
  own.move_to(own.forge_block() + owed);
  deliver(own);
  EXPECT_FALSE(own.is_pending());
  EXPECT_EQ(own.page().word, tid) << "the kernel took it for its lock";
}

TEST_F(hostile, the_tid_is_the_one_in_the_threads_own_namespace) {
  traced_child inside({}, CLONE_NEWPID);
  inside.set_pending();
  inside.page().word = 1;
  inside.move_to(inside.forge_block() + owed);
  ASSERT_EQ(inside.get().resume(SIGKILL), 0); // its namespace's init ignores the other
  inside.end();
  EXPECT_FALSE(inside.is_pending());
  EXPECT_EQ(inside.page().word, 1u);

  traced_child outer({}, CLONE_NEWPID);
  outer.set_pending();
  outer.page().word = static_cast<std::uint32_t>(outer.pid());
  outer.move_to(outer.forge_block() + owed);
  ASSERT_EQ(outer.get().resume(SIGKILL), 0);
  outer.end();
  EXPECT_TRUE(outer.is_pending());
}

TEST_F(hostile, an_entry_that_is_misaligned_or_not_mapped_harms_nobody) {
  struct {
    std::uint64_t entry;
    bool cleared;
  } const cases[] = {
      {0x1000 + 32, true},         // nothing is mapped there: treated as reused
      {0xffff888000000000, true},  // the kernel's
      {0xffffffffffffffe0, true},  // wraps around
      {0x7ffffffff000 + 32, true}, // behind the end of user space
      {0x1000 + 34, false},        // misaligned: the kernel does nothing either
      {0x8000000000000020, true},  // not canonical
  };
  for (const auto& each : cases) {
    traced_child child;
    child.page().head.list_op_pending = reinterpret_cast<robust_list*>(each.entry);
    child.move_to(child.forge_block() + owed);
    deliver(child);
    EXPECT_EQ(child.is_pending(), !each.cleared) << std::hex << each.entry;
  }
  EXPECT_GE(counted(DEADBOLT_BPF_UNREAD_WORD), 5u);
}

TEST_F(hostile, an_ip_in_the_void_is_counted_and_nothing_else) {
  for (const std::uint64_t ip :
       {0UL, 1UL, 127UL, 0x7ffffffff000UL - 1, 0x7fffffffefffUL, 0x600000000000UL}) {
    traced_child child;
    child.set_pending();
    child.move_to(ip);
    deliver(child);
    EXPECT_TRUE(child.is_pending()) << std::hex << ip;
  }
  EXPECT_GE(counted(DEADBOLT_BPF_UNREAD_CODE), 6u);
}

TEST_F(hostile, a_block_in_the_last_bytes_of_a_mapping_is_read_no_further) {
  auto* const pages = static_cast<unsigned char*>(
      ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  traced_child child([&](child_page&) {
    ::munmap(pages + 4096, 4096);
    touch(pages);
    ::kill(::getpid(), SIGUSR1);
  });
  child.forge_block();
  unsigned char* const last = pages + 4096 - sizeof child.page().block;
  std::memcpy(last, child.page().block, sizeof child.page().block);
  child.set_pending();
  child.move_to(reinterpret_cast<std::uint64_t>(last) + nothing_owed);
  deliver(child);
  EXPECT_FALSE(child.is_pending());

  traced_child edge([&](child_page&) {
    ::munmap(pages + 4096, 4096);
    touch(pages);
    ::kill(::getpid(), SIGUSR1);
  });
  edge.set_pending();
  edge.move_to(reinterpret_cast<std::uint64_t>(pages) + 4095);
  deliver(edge);
  EXPECT_TRUE(edge.is_pending());
  ::munmap(pages, 8192);
}

// The memory at every address that a register could hold.
TEST_F(hostile, registers_are_never_addresses) {
  for (const std::uint64_t value : {0xffff888000000000UL, 0xffffffff81000000UL, 0UL, ~0UL}) {
    traced_child child;
    child.set_pending();
    child.page().word = 0xabcdef;
    child.move_to(child.forge_block() + nothing_owed);
    deadbolt::trace::registers regs;
    ASSERT_EQ(child.get().get_registers(regs), 0);
    auto& raw = regs.raw();
    for (auto* const each :
         {&raw.rax, &raw.rbx, &raw.rcx, &raw.rdx, &raw.rsi, &raw.rdi, &raw.rbp, &raw.rsp, &raw.r8,
          &raw.r9, &raw.r10, &raw.r11, &raw.r12, &raw.r13, &raw.r14, &raw.r15})
      *each = value;
    ASSERT_EQ(::ptrace(PTRACE_SETREGS, child.pid(), nullptr, &raw), 0);
    deliver(child);
    EXPECT_FALSE(child.is_pending());
    EXPECT_EQ(child.page().word, 0xabcdefU);
  }
}

// A thread may give the kernel any address as that of its list head.
void be_stopped_with_head(std::uint64_t head) {
  ::syscall(SYS_set_robust_list, head, sizeof(robust_list_head));
  ::kill(::getpid(), SIGUSR1);
}

TEST_F(hostile, a_head_that_is_the_kernels_or_nobodys_is_not_touched) {
  for (const std::uint64_t head :
       {0xffff888000000000UL, 0xffffffff81000000UL, 0xffffffffffffffe8UL, 0x7fffffffeff0UL,
        0x7ffffffff000UL - 8, 0x1000UL, 3UL, 0x8000000000000000UL}) {
    const std::uint64_t before = counts_now()[DEADBOLT_BPF_UNREAD_HEAD];
    const std::uint64_t cleared = counts_now()[DEADBOLT_BPF_BLOCK_CLEARS];
    traced_child child([&](child_page&) { be_stopped_with_head(head); });
    child.move_to(child.forge_block() + nothing_owed);
    deliver(child);
    EXPECT_GE(counts_now()[DEADBOLT_BPF_UNREAD_HEAD], before + 1) << std::hex << head;
    EXPECT_EQ(counts_now()[DEADBOLT_BPF_BLOCK_CLEARS], cleared) << std::hex << head;
  }
}

TEST_F(hostile, a_thread_without_a_head_is_left_alone) {
  traced_child child([](child_page&) { be_stopped_with_head(0); });
  child.set_pending();
  child.move_to(child.forge_block() + nothing_owed);
  deliver(child);
  EXPECT_TRUE(child.is_pending());
  EXPECT_GE(counted(DEADBOLT_BPF_NO_LIST), 1u);
}

// Memory that the thread may read and not write: another user's file, for example.
TEST_F(hostile, what_the_thread_may_not_write_the_guard_does_not_write) {
  auto* const page = static_cast<unsigned char*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(page, MAP_FAILED);
  std::memset(page, 0x77, 4096);
  traced_child child([&](child_page&) {
    ::mprotect(page, 4096, PROT_READ);
    touch(page);
    be_stopped_with_head(reinterpret_cast<std::uint64_t>(page) + 64);
  });
  child.move_to(child.forge_block() + nothing_owed);
  deliver(child);
  for (std::size_t i = 0; i < 4096; ++i) ASSERT_EQ(page[i], 0x77) << i;
  EXPECT_GE(counted(DEADBOLT_BPF_REFUSED_WRITES), 1u);
  ::munmap(page, 4096);
}

TEST_F(hostile, a_head_across_the_end_of_a_mapping_is_refused) {
  auto* const pages = static_cast<unsigned char*>(
      ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  std::memset(pages, 0x77, 4096);
  for (const std::uint64_t from_end : {23UL, 20UL, 17UL, 16UL, 9UL, 1UL}) {
    traced_child child([&](child_page&) {
      ::munmap(pages + 4096, 4096);
      touch(pages);
      be_stopped_with_head(reinterpret_cast<std::uint64_t>(pages) + 4096 - from_end);
    });
    child.move_to(child.forge_block() + nothing_owed);
    deliver(child);
    for (std::size_t i = 0; i < 4096; ++i) ASSERT_EQ(pages[i], 0x77) << i << ' ' << from_end;
  }
  EXPECT_GE(counted(DEADBOLT_BPF_UNREAD_HEAD), 6u);
  ::munmap(pages, 8192);
}

// The thread's own memory, at an odd address: exactly 8 bytes are written.
TEST_F(hostile, an_unaligned_head_costs_its_owner_eight_bytes) {
  auto* const page = static_cast<unsigned char*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(page, MAP_FAILED);
  std::memset(page, 0x77, 4096);
  constexpr std::size_t at = 101;
  traced_child child([&](child_page&) {
    touch(page);
    be_stopped_with_head(reinterpret_cast<std::uint64_t>(page) + at);
  });
  child.move_to(child.forge_block() + nothing_owed);
  deliver(child);
  for (std::size_t i = 0; i < 4096; ++i) {
    const bool is_slot = i >= at + 16 && i < at + 24;
    ASSERT_EQ(page[i], is_slot ? 0 : 0x77) << i;
  }
  ::munmap(page, 4096);
}

} // namespace
