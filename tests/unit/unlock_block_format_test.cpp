// SPDX-License-Identifier: MIT
// The unlock blocks as a guard reads them, against the labels of their source.
#include <deadbolt/critical_section.h>
#include <deadbolt/robust_futex.h>
#include <guard/repair_rule.h>

#include <own_symbols.hpp>
#include <unlock_blocks.hpp>

#include <gtest/gtest.h>

namespace deadbolt::testing {
namespace {

class unlock_block_format : public ::testing::TestWithParam<expected_block> {
protected:
  [[nodiscard]] std::uintptr_t label(const char* suffix) const {
    const auto found = symbols().find(GetParam().name + std::string{suffix});
    EXPECT_NE(found, symbols().end()) << GetParam().name << suffix;
    return found == symbols().end() ? 0 : found->second.address;
  }
  [[nodiscard]] std::size_t code_size() const { return symbols().at(GetParam().name).size; }
  // Read as a guard would: from the code's own address alone.
  [[nodiscard]] deadbolt_critical_section header() const {
    deadbolt_critical_section block{};
    const std::uintptr_t at = deadbolt_block_address(label(""));
    if (at != 0) std::memcpy(&block, reinterpret_cast<const void*>(at), sizeof block);
    return block;
  }

private:
  static const std::map<std::string, own_symbol>& symbols() {
    static const std::map<std::string, own_symbol> found = own_symbols();
    return found;
  }
};

TEST_P(unlock_block_format, header_matches_the_labels) {
  const deadbolt_critical_section block = header();
  const std::uintptr_t start = label("_block");
  EXPECT_EQ(start, deadbolt_block_address(label("")));
  EXPECT_EQ(block.magic[0], DEADBOLT_CS_MAGIC_LOW);
  EXPECT_EQ(block.magic[1], DEADBOLT_CS_MAGIC_HIGH);
  EXPECT_EQ(block.version, DEADBOLT_CS_VERSION);
  EXPECT_EQ(block.kind, GetParam().kind);
  EXPECT_EQ(start + block.window_begin, label("_window_begin"));
  EXPECT_EQ(start + block.owed_end, label("_owed_end"));
  EXPECT_EQ(start + block.window_end, label("_window_end"));
  EXPECT_TRUE(deadbolt_block_is_well_formed(&block));
}

TEST_P(unlock_block_format, labels_are_in_order_inside_the_code) {
  EXPECT_EQ(label("") - label("_block"), std::uintptr_t{DEADBOLT_CS_CODE_OFFSET});
  EXPECT_LT(label(""), label("_window_begin"));
  EXPECT_LE(label("_window_begin"), label("_owed_end"));
  EXPECT_LT(label("_owed_end"), label("_window_end"));
  EXPECT_LT(label("_window_end"), label("") + code_size());
  EXPECT_EQ(label("_owed_end") != label("_window_begin"), GetParam().owes_a_wake);
}

TEST_P(unlock_block_format, block_fills_128_bytes_and_its_rest_traps) {
  ASSERT_LE(DEADBOLT_CS_CODE_OFFSET + code_size(), std::size_t{DEADBOLT_CS_SIZE});
  for (auto at = label("") + code_size(); at < label("_block") + DEADBOLT_CS_SIZE; ++at) {
    EXPECT_EQ(*reinterpret_cast<const unsigned char*>(at), block_filler);
  }
}

INSTANTIATE_TEST_SUITE_P(local_engine, unlock_block_format, ::testing::ValuesIn(expected_blocks),
                         [](const auto& test) { return std::string{test.param.name}; });

// A block that is missing from the list above would not be checked.
TEST(unlock_block_formats, every_block_of_the_program_is_checked) {
  ASSERT_NE(deadbolt_engine(), nullptr); // and the blocks are linked in
  std::size_t count = 0;
  for (const auto& [name, symbol] : own_symbols()) {
    if (name.starts_with("deadbolt_") && name.ends_with("_block")) ++count;
  }
  EXPECT_EQ(count, std::size(expected_blocks));
}

} // namespace
} // namespace deadbolt::testing
