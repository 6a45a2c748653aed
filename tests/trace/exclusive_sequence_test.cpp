// SPDX-License-Identifier: MIT
// Loops of a load and a store exclusive, as compilers and libcs write them.
#include <exclusive_sequence.hpp>

#include <cstddef>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace {

using deadbolt::trace::exclusive_sequence;

constexpr std::uint64_t base = 0x1000;

// The sequence whose load is the instruction with that index.
exclusive_sequence find(const std::vector<std::uint32_t>& code, std::size_t load) {
  return deadbolt::trace::find_exclusive_sequence(base + load * 4, [&](std::uint64_t at) {
    const std::uint64_t index = (at - base) / 4;
    return index < code.size() ? code[index] : 0;
  });
}

// The exits, as indices.
std::multiset<std::uint64_t> exits_of(const exclusive_sequence& sequence) {
  std::multiset<std::uint64_t> exits;
  for (unsigned i = 0; i < sequence.exit_count; ++i) exits.insert((sequence.exits[i] - base) / 4);
  return exits;
}

constexpr std::uint32_t nop = 0xd503201f;
constexpr std::uint32_t ret = 0xd65f03c0;

TEST(exclusive_sequence, compare_exchange_has_two_exits) {
  // ldxr w0, [x2]; cmp w0, w16; b.ne +12; stlxr w17, w1, [x2]; cbnz w17, -16; ret
  const exclusive_sequence found =
      find({0x885f7c40, 0x6b10001f, 0x54000061, 0x8811fc41, 0x35ffff91, ret}, 0);
  EXPECT_EQ(exits_of(found), (std::multiset<std::uint64_t>{4, 5}));
  EXPECT_EQ(found.length, 4U);
  EXPECT_EQ(found.store, base + 12);
}

TEST(exclusive_sequence, store_may_stand_in_front_of_the_load) {
  // nop; stlxr w1, w21, [x0]; cbz w1, +56; ldaxr w1, [x0]; cmp w1, w24; b.eq -16; nop
  const exclusive_sequence found =
      find({nop, 0x8801fc15, 0x340001c1, 0x885ffc01, 0x6b18003f, 0x54ffff80, nop}, 3);
  EXPECT_EQ(exits_of(found), (std::multiset<std::uint64_t>{2, 6}));
  EXPECT_EQ(found.length, 0U);
  EXPECT_EQ(found.store, base + 4);
}

TEST(exclusive_sequence, other_code_is_none) {
  EXPECT_EQ(find({nop, ret}, 0).exit_count, 0U);
  EXPECT_EQ(find({0x8811fc41, ret}, 0).exit_count, 0U) << "a store";
  EXPECT_EQ(find({0x885f7c40, ret}, 0).exit_count, 0U) << "a load without a store";
  EXPECT_EQ(find({0x88a0fc41, ret}, 0).exit_count, 0U) << "casl w0, w1, [x2]";
}

} // namespace
