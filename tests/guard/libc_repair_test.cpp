// SPDX-License-Identifier: MIT
// A libc's window in a real stopped thread, with the code, the registers and the lock
// word forged.
#include "guard/ptrace/stop_handler.hpp"
#include "traced_child.hpp"

#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using namespace deadbolt::guard;
using guard_test::traced_child;

constexpr std::size_t before = DEADBOLT_WINDOW_CODE_BEFORE;

// Bytes in the child's page that do not begin a critical section. The IP points to their middle.
std::uint64_t forge_code(const traced_child& child) {
  for (std::size_t i = 0; i < sizeof child.page().block; ++i)
    child.page().block[i] = static_cast<unsigned char>(0x90 + i);
  return reinterpret_cast<std::uint64_t>(child.page().block) + 40;
}

libc_window window_for(const traced_child& child, std::uint64_t ip, deadbolt_window what) {
  libc_window window{.offset = 0x123000 + (ip & 0xfff), .code = {}, .what = what, .name = "f"};
  std::memcpy(window.code.data(), child.page().block + 40 - before, window.code.size());
  return window;
}

window_set set_of(const libc_window& window) {
  window_set set;
  set.add({.build_id = "00000000", .windows = {window}});
  return set;
}

constexpr deadbolt_window nothing_owed{.kind = DEADBOLT_CS_ALWAYS, .owed = 0};
constexpr deadbolt_window wake_owed{.kind = DEADBOLT_CS_ALWAYS, .owed = 1};

struct scene {
  traced_child child;
  std::uint64_t ip = 0;

  scene() {
    ip = forge_code(child);
    child.set_pending();
    child.move_to(ip);
  }
  [[nodiscard]] repair_outcome outcome(deadbolt_window what) const {
    return repair_thread(child.pid(), set_of(window_for(child, ip, what))).outcome;
  }
  void set_result(std::uint64_t rax, std::uint64_t flags) const {
    deadbolt::trace::registers regs;
    ASSERT_EQ(child.get().get_registers(regs), 0);
    regs.raw().rax = rax;
    regs.raw().eflags = flags;
    ASSERT_EQ(::ptrace(PTRACE_SETREGS, child.pid(), nullptr, &regs.raw()), 0);
  }
};

TEST(libc_repair, clears_where_nothing_is_owed) {
  const scene scene;
  scene.child.page().word = 0xabcdef;
  EXPECT_EQ(scene.outcome(nothing_owed), repair_outcome::cleared);
  EXPECT_FALSE(scene.child.is_pending());
  EXPECT_EQ(scene.child.page().word, 0xabcdefU);
}

TEST(libc_repair, leaves_a_wake_that_is_owed_to_the_kernel) {
  const scene scene;
  for (const std::uint32_t word : {0U, 0x80000000U, 0xabcdefU}) {
    scene.child.page().word = word;
    EXPECT_EQ(scene.outcome(wake_owed), repair_outcome::left_to_kernel) << word;
    EXPECT_TRUE(scene.child.is_pending());
  }
}

TEST(libc_repair, clears_where_a_wake_is_owed_if_the_word_has_the_dying_threads_id) {
  const scene scene;
  scene.child.page().word = 0x80000000U | static_cast<std::uint32_t>(scene.child.pid());
  EXPECT_EQ(scene.outcome(wake_owed), repair_outcome::cleared);
  EXPECT_FALSE(scene.child.is_pending());
}

TEST(libc_repair, knows_nothing_without_a_table) {
  const scene scene;
  EXPECT_EQ(repair_thread(scene.child.pid(), window_set()).outcome, repair_outcome::not_needed);
  EXPECT_TRUE(scene.child.is_pending());
}

TEST(libc_repair, does_nothing_where_any_byte_of_the_code_differs) {
  const scene scene;
  for (std::size_t i = 0; i < DEADBOLT_WINDOW_CODE_SIZE; ++i) {
    unsigned char& byte = scene.child.page().block[40 - before + i];
    const libc_window window = window_for(scene.child, scene.ip, nothing_owed);
    byte ^= 1;
    EXPECT_EQ(repair_thread(scene.child.pid(), set_of(window)).outcome, repair_outcome::not_needed)
        << i;
    byte ^= 1;
  }
  EXPECT_TRUE(scene.child.is_pending());
}

TEST(libc_repair, does_nothing_at_another_place_in_the_page) {
  const scene scene;
  libc_window window = window_for(scene.child, scene.ip, nothing_owed);
  window.offset += 0x10;
  EXPECT_EQ(repair_thread(scene.child.pid(), set_of(window)).outcome, repair_outcome::not_needed);
  window.offset += 0xff0; // the same place of another page is the same place
  EXPECT_EQ(repair_thread(scene.child.pid(), set_of(window)).outcome, repair_outcome::cleared);
}

TEST(libc_repair, does_nothing_in_32_bit_code) {
  const scene scene;
  scene.child.move_to(scene.ip, 0x23);
  EXPECT_EQ(scene.outcome(nothing_owed), repair_outcome::not_needed);
  EXPECT_TRUE(scene.child.is_pending());
}

TEST(libc_repair, does_nothing_unless_the_registers_prove_the_release) {
  struct {
    std::uint8_t kind;
    std::uint64_t rax;
    std::uint64_t flags;
    bool proven;
  } const cases[] = {
      {DEADBOLT_CS_ZF, 1, 0x42, true},
      {DEADBOLT_CS_ZF, 1, 0x02, false},
      {DEADBOLT_CS_UNLOCK_PI, 0, 0x02, true},
      {DEADBOLT_CS_UNLOCK_PI, 1, 0x42, false},
      {DEADBOLT_CS_UNLOCK_PI, ~0ULL, 0x42, false},
      {DEADBOLT_WINDOW_NO_ERROR, 0x1234, 0x02, true},
      {DEADBOLT_WINDOW_NO_ERROR, ~0ULL - 4094, 0x42, false},
      {DEADBOLT_WINDOW_NO_ERROR, ~0ULL - 4095, 0x42, true},
      {DEADBOLT_WINDOW_NO_ERROR, ~0ULL, 0x42, false},
      {0, 0, 0x42, false},
      {6, 0, 0x42, false},
  };
  for (const auto& each : cases) {
    scene scene;
    scene.set_result(each.rax, each.flags);
    EXPECT_EQ(scene.outcome({.kind = each.kind, .owed = 0}),
              each.proven ? repair_outcome::cleared : repair_outcome::not_needed)
        << int{each.kind} << ' ' << each.rax;
    EXPECT_EQ(scene.child.is_pending(), !each.proven);
  }
}

TEST(libc_repair, does_nothing_where_the_code_around_cannot_be_read) {
  void* const pages =
      ::mmap(nullptr, 3ul * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  auto* const middle = static_cast<unsigned char*>(pages) + 4096;
  // Unmapped, since ptrace reads pages that are only protected. In the child, where nothing maps
  // pages into the holes afterwards, not even a sanitizer.
  traced_child child([&](guard_test::child_page&) {
    ::syscall(SYS_munmap, pages, 4096);
    ::syscall(SYS_munmap, middle + 4096, 4096);
    ::syscall(SYS_kill, ::getpid(), SIGUSR1);
  });
  child.set_pending();
  const auto at = reinterpret_cast<std::uint64_t>(middle);
  // All zeros, as far as they can be read.
  for (const std::uint64_t offset : {15UL, 0UL, 4081UL, 4095UL}) {
    child.move_to(at + offset);
    const libc_window window{.offset = offset, .code = {}, .what = nothing_owed, .name = "f"};
    EXPECT_EQ(repair_thread(child.pid(), set_of(window)).outcome, repair_outcome::not_needed)
        << offset;
  }
  EXPECT_TRUE(child.is_pending());
  for (const std::uint64_t offset : {16UL, 4080UL}) {
    child.set_pending();
    child.move_to(at + offset);
    const libc_window window{.offset = offset, .code = {}, .what = nothing_owed, .name = "f"};
    EXPECT_EQ(repair_thread(child.pid(), set_of(window)).outcome, repair_outcome::cleared)
        << offset;
  }
  ::munmap(pages, 3ul * 4096);
}

} // namespace
