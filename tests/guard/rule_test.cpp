// SPDX-License-Identifier: MIT
// The repair rule for critical sections and registers of all kinds. The table of cases is also
// applied to mutants of the rule, each wrong in one respect: it must catch every one.
#include "guard/repair_rule.h"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

using rule =
    std::function<deadbolt_repair(const deadbolt_critical_section&, const deadbolt_thread_state&)>;

deadbolt_repair real_rule(const deadbolt_critical_section& block,
                          const deadbolt_thread_state& thread) {
  return deadbolt_repair_rule(&block, &thread);
}

struct rule_case {
  std::string name;
  deadbolt_critical_section block;
  deadbolt_thread_state thread;
  deadbolt_repair expected;
};

constexpr std::uint64_t block_at = 0x7f0012345680;
constexpr std::uint64_t carry = 1;

deadbolt_critical_section block_of(std::uint8_t kind) {
  return {.magic = {DEADBOLT_CS_MAGIC_LOW, DEADBOLT_CS_MAGIC_HIGH},
          .version = DEADBOLT_CS_VERSION,
          .kind = kind,
          .window_begin = 40,
          .owed_end = 50,
          .window_end = 60,
          .architecture = DEADBOLT_CS_X86_64,
          .zero = {0, 0}};
}

deadbolt_thread_state at(std::uint64_t offset, std::uint64_t rax = 7, std::uint64_t flags = carry) {
  return {.ip = block_at + offset, .rax = rax, .flags = flags, .cs = DEADBOLT_USER_CS_64};
}

std::uint64_t result(long value) {
  return static_cast<std::uint64_t>(value);
}

constexpr deadbolt_repair none = DEADBOLT_REPAIR_NONE;
constexpr deadbolt_repair clear = DEADBOLT_REPAIR_CLEAR;
constexpr deadbolt_repair clear_if_mine = DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE;

void add_places(std::vector<rule_case>& cases) {
  const auto always = block_of(DEADBOLT_CS_ALWAYS);
  for (std::uint64_t offset = 0; offset < DEADBOLT_CS_SIZE; ++offset) {
    const deadbolt_repair expected = offset < 40 || offset >= 60 ? none
                                     : offset < 50               ? clear_if_mine
                                                                 : clear;
    cases.push_back({"offset " + std::to_string(offset), always, at(offset), expected});
  }
  auto to_the_end = always;
  to_the_end.window_end = DEADBOLT_CS_SIZE;
  cases.push_back({"last byte of the block", to_the_end, at(127), clear});
  auto from_the_header = always;
  from_the_header.window_begin = DEADBOLT_CS_CODE_OFFSET;
  cases.push_back({"first byte of code", from_the_header, at(24), clear_if_mine});
  auto empty = always;
  empty.owed_end = empty.window_end = empty.window_begin;
  cases.push_back({"empty window", empty, at(40), none});
}

void add_registers(std::vector<rule_case>& cases) {
  const auto zf = block_of(DEADBOLT_CS_ZF);
  cases.push_back({"ZF set", zf, at(55, 7, DEADBOLT_FLAGS_ZF | carry), clear});
  cases.push_back({"ZF clear", zf, at(55, 0, ~std::uint64_t{DEADBOLT_FLAGS_ZF}), none});
  const auto wake_op = block_of(DEADBOLT_CS_WAKE_OP);
  for (const long released : {0L, 1L, -22L})
    cases.push_back(
        {"wake_op " + std::to_string(released), wake_op, at(55, result(released)), clear});
  // -EPERM, -EINTR, -EFAULT, -ENOSYS, a rolled back call's number, -ERESTARTSYS,
  // -ERESTARTNOINTR, -ERESTART_RESTARTBLOCK, and -22 in 32 bits only
  for (const long owned : {2L, -1L, -4L, -14L, -38L, 202L, -512L, -513L, -516L, 0xffffffeaL})
    cases.push_back({"wake_op " + std::to_string(owned), wake_op,
                     at(55, result(owned), DEADBOLT_FLAGS_ZF), none});
  const auto pi = block_of(DEADBOLT_CS_UNLOCK_PI);
  cases.push_back({"unlock_pi 0", pi, at(55, 0), clear});
  for (const long owned : {1L, -1L, -11L, -22L, -38L, 202L, -512L})
    cases.push_back(
        {"unlock_pi " + std::to_string(owned), pi, at(55, result(owned), DEADBOLT_FLAGS_ZF), none});
  auto compat = at(55);
  compat.cs = 0x23;
  cases.push_back({"32-bit code", block_of(DEADBOLT_CS_ALWAYS), compat, none});
}

void add_forged(std::vector<rule_case>& cases) {
  const auto forge = [&](const char* name,
                         const std::function<void(deadbolt_critical_section&)>& change) {
    auto block = block_of(DEADBOLT_CS_ALWAYS);
    change(block);
    cases.push_back({name, block, at(55), none});
  };
  forge("first magic", [](auto& block) { block.magic[0] ^= 1; });
  forge("second magic", [](auto& block) { block.magic[1] ^= std::uint64_t{1} << 63; });
  forge("no header at all", [](auto& block) { block = {}; });
  forge("version 0", [](auto& block) { block.version = 0; });
  forge("version 2", [](auto& block) { block.version = DEADBOLT_CS_VERSION + 1; });
  forge("kind 0", [](auto& block) { block.kind = 0; });
  forge("kind 5", [](auto& block) { block.kind = DEADBOLT_CS_ALWAYS + 1; });
  forge("kind 255", [](auto& block) { block.kind = 255; });
  forge("window in the header", [](auto& block) { block.window_begin = 23; });
  forge("owed_end before window_begin", [](auto& block) { block.owed_end = 39; });
  forge("window_end before owed_end", [](auto& block) { block.owed_end = 61; });
  forge("window_end behind the block", [](auto& block) { block.window_end = 129; });
  forge("block of another architecture",
        [](auto& block) { block.architecture = DEADBOLT_CS_AARCH64; });
  for (std::size_t i = 0; i < 2; ++i)
    forge("byte that must be zero", [i](auto& block) { block.zero[i] = 1; });
}

std::vector<rule_case> all_cases() {
  std::vector<rule_case> cases;
  add_places(cases);
  add_registers(cases);
  add_forged(cases);
  return cases;
}

std::vector<std::string> mistakes_of(const rule& asked) {
  std::vector<std::string> mistakes;
  for (const rule_case& one : all_cases())
    if (asked(one.block, one.thread) != one.expected) mistakes.push_back(one.name);
  return mistakes;
}

TEST(repair_rule, answers_every_case) {
  EXPECT_EQ(mistakes_of(real_rule), std::vector<std::string>{});
}

TEST(repair_rule, finds_the_block_and_the_word_by_the_kernels_arithmetic) {
  EXPECT_EQ(deadbolt_block_address(block_at + 127), block_at);
  EXPECT_EQ(deadbolt_block_address(block_at), block_at);
  EXPECT_EQ(deadbolt_entry_word(0x1001, 0), 0x1000U);
  EXPECT_EQ(deadbolt_entry_word(0x1020, result(-32)), 0x1000U);
  // A stock kernel does not treat bit 1 as a flag: the word's address is misaligned.
  EXPECT_EQ(deadbolt_entry_word(0x1003, 0), 0x1002U);
}

struct wrong_rule {
  const char* name;
  rule ask;
  const char* caught_by;
};

TEST(repair_rule, table_catches_every_wrong_rule) {
  const wrong_rule wrong[] = {
      {"an IP in the window is enough",
       [](auto block, const auto& thread) {
         block.kind =
             block.kind == 0 || block.kind > DEADBOLT_CS_ALWAYS ? block.kind : DEADBOLT_CS_ALWAYS;
         return real_rule(block, thread);
       },
       "wake_op 202"},
      {"the version does not matter",
       [](auto block, const auto& thread) {
         block.version = DEADBOLT_CS_VERSION;
         return real_rule(block, thread);
       },
       "version 2"},
      {"the window's end belongs to it",
       [](auto block, const auto& thread) {
         if (block.window_end < DEADBOLT_CS_SIZE) ++block.window_end;
         return real_rule(block, thread);
       },
       "offset 60"},
      {"a wake is never owed",
       [](auto block, const auto& thread) {
         if (block.window_begin <= block.owed_end) block.owed_end = block.window_begin;
         return real_rule(block, thread);
       },
       "offset 45"},
      {"a result is 32 bits wide",
       [](const auto& block, auto thread) {
         thread.rax = result(static_cast<std::int32_t>(thread.rax));
         return real_rule(block, thread);
       },
       "wake_op 4294967274"},
      {"code is 64-bit code",
       [](const auto& block, auto thread) {
         thread.cs = DEADBOLT_USER_CS_64;
         return real_rule(block, thread);
       },
       "32-bit code"},
  };
  for (const wrong_rule& one : wrong) {
    const auto mistakes = mistakes_of(one.ask);
    EXPECT_NE(std::find(mistakes.begin(), mistakes.end(), one.caught_by), mistakes.end())
        << one.name;
  }
}

} // namespace
