// SPDX-License-Identifier: MIT
// The BPF guard and 32-bit code, which has a robust list of its own with a narrower head.
#include "watched_child.hpp"

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

namespace {

using namespace deadbolt::guard;
using guard_test::child_page;
using guard_test::nothing_owed;
using guard_test::owed;
using guard_test::traced_child;

constexpr std::uint64_t code_32 = 0x23;

// At an address below 4 GiB, in the child and here.
struct low_page {
  struct {
    std::uint32_t next;
    std::int32_t futex_offset;
    std::uint32_t list_op_pending;
    std::uint32_t behind;
  } head;
  std::uint32_t word;
  alignas(128) unsigned char block[128];
};

std::uint32_t address_of(const void* place) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(place));
}

// set_robust_list as 32-bit code calls it, and with it the compat list.
long set_compat_robust_list(const void* head, std::uint64_t size) {
  long result = 311;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(reinterpret_cast<std::uint64_t>(head)), "c"(size)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

class compat : public guard_test::watched_child_test {
protected:
  void SetUp() override {
    watched_child_test::SetUp();
    if (IsSkipped()) return;
    void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    low_ = static_cast<low_page*>(memory);
    low_->head = {address_of(&low_->head), -32, address_of(&low_->word) + 32, 0x77777777};
  }
  void TearDown() override {
    if (low_ != nullptr) ::munmap(low_, sizeof *low_);
  }
  // Dies in 32-bit code, `offset` bytes into the block. With its 64-bit entry set as well.
  void die_at(std::uint64_t offset, std::uint64_t rax = 0, std::uint8_t kind = DEADBOLT_CS_ALWAYS) {
    traced_child child([this](child_page&) {
      // The page must be in the child's page table: the guard does not fault.
      low_->head.next = address_of(&low_->head);
      if (set_compat_robust_list(&low_->head, 12) != 0) ::_exit(3);
      ::kill(::getpid(), SIGUSR1);
    });
    child.forge_block();
    for (std::size_t i = 0; i < sizeof low_->block; ++i) low_->block[i] = child.page().block[i];
    low_->block[offsetof(deadbolt_critical_section, kind)] = kind;
    if (word_is_tid_) low_->word = static_cast<std::uint32_t>(child.pid());
    tid_ = static_cast<std::uint32_t>(child.pid());
    child.page().word = 0xabcdef;
    child.set_pending();
    deadbolt::trace::registers regs;
    ASSERT_EQ(child.get().get_registers(regs), 0);
    regs.raw().rax = rax;
    ASSERT_EQ(::ptrace(PTRACE_SETREGS, child.pid(), nullptr, &regs.raw()), 0);
    child.move_to(address_of(low_->block) + offset, code_32);
    deliver(child);
    EXPECT_TRUE(child.is_pending()) << "the other list";
    EXPECT_EQ(low_->head.behind, 0x77777777u) << "what is behind the narrower slot";
    EXPECT_EQ(child.page().word, 0xabcdefu);
  }

  low_page* low_ = nullptr;
  bool word_is_tid_ = false;
  std::uint32_t tid_ = 0;
};

TEST_F(compat, without_a_window_the_kernel_marks_the_word) {
  word_is_tid_ = true;
  die_at(0);
  EXPECT_EQ(low_->word, std::uint32_t{FUTEX_OWNER_DIED});
}

TEST_F(compat, a_window_with_nothing_owed_is_cleared) {
  word_is_tid_ = true; // what the kernel would take for its lock
  die_at(nothing_owed);
  EXPECT_EQ(low_->head.list_op_pending, 0u);
  EXPECT_EQ(low_->word, tid_);
  EXPECT_GE(counted(DEADBOLT_BPF_BLOCK_CLEARS), 1u);
}

TEST_F(compat, a_wake_that_is_owed_is_left_to_the_kernel) {
  low_->word = 0xabcdef;
  die_at(owed);
  EXPECT_NE(low_->head.list_op_pending, 0u);
  EXPECT_GE(counted(DEADBOLT_BPF_LEFT_TO_KERNEL), 1u);
}

TEST_F(compat, a_wake_that_is_owed_is_not_left_when_the_word_has_the_tid) {
  word_is_tid_ = true;
  die_at(owed);
  EXPECT_EQ(low_->head.list_op_pending, 0u);
  EXPECT_EQ(low_->word, tid_);
}

// -EINVAL, as wide as the register: the word was released, with a PI waiter on it.
TEST_F(compat, an_error_is_as_wide_as_the_register) {
  low_->word = 0xabcdef;
  die_at(nothing_owed, 0xffffffea, DEADBOLT_CS_WAKE_OP);
  EXPECT_EQ(low_->head.list_op_pending, 0u);
  // -EINTR: the call did nothing.
  low_->head.list_op_pending = address_of(&low_->word) + 32;
  die_at(nothing_owed, 0xfffffffc, DEADBOLT_CS_WAKE_OP);
  EXPECT_NE(low_->head.list_op_pending, 0u);
}

} // namespace
