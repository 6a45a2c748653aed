// SPDX-License-Identifier: MIT
// The file format of libc windows, and the set in which guards look them up.
#include "guard/unlock_windows/table.hpp"

#include <gtest/gtest.h>
#include <string>
#include <window_samples.hpp>

namespace {

using namespace deadbolt::guard;
using deadbolt::testing::sample_kind;

libc_window window_at(std::uint64_t offset, std::uint32_t kind, std::uint8_t owed) {
  libc_window window{.offset = offset, .code = {}, .what = {kind, owed}, .name = "unlock+0x1"};
  for (std::size_t i = 0; i < window.code.size(); ++i)
    window.code[i] = static_cast<std::uint8_t>(offset + 7 * i);
  return window;
}

window_table sample_table() {
  return {.build_id = "0123456789abcdef",
          .windows = {window_at(0x8a2f4, DEADBOLT_CS_ALWAYS, 1), window_at(0x8a2f6, sample_kind, 0),
                      window_at(0x8b000, DEADBOLT_CS_UNLOCK_PI, 0),
                      window_at(0xffffffffffffffff, DEADBOLT_WINDOW_NO_ERROR, 1)}};
}

TEST(window_table, reads_what_it_wrote) {
  const window_table table = sample_table();
  std::string error;
  const auto again = parse_window_table(format_window_table(table), error);
  ASSERT_TRUE(again) << error;
  EXPECT_EQ(again->build_id, table.build_id);
  ASSERT_EQ(again->windows.size(), table.windows.size());
  for (std::size_t i = 0; i < table.windows.size(); ++i) {
    EXPECT_EQ(again->windows[i].offset, table.windows[i].offset);
    EXPECT_EQ(again->windows[i].code, table.windows[i].code);
    EXPECT_EQ(again->windows[i].what.kind, table.windows[i].what.kind);
    EXPECT_EQ(again->windows[i].what.owed, table.windows[i].what.owed);
    EXPECT_EQ(again->windows[i].name, table.windows[i].name);
  }
}

TEST(window_table, skips_comments) {
  std::string error;
  EXPECT_TRUE(
      parse_window_table("# one\n" + format_window_table(sample_table()) + "# two\n", error))
      << error;
}

TEST(window_table, refuses_a_table_that_was_cut) {
  const std::string text = format_window_table(sample_table());
  std::string error;
  // The last line may lack its end.
  for (std::size_t size = 0; size + 1 < text.size(); ++size)
    EXPECT_FALSE(parse_window_table(text.substr(0, size), error)) << size;
}

std::string with(const std::string& what, const std::string& instead) {
  std::string text = format_window_table(sample_table());
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), instead);
}

TEST(window_table, refuses_what_is_not_quite_the_format) {
  const std::string good = format_window_table(sample_table());
  const std::string cases[] = {
      with("deadbolt windows 2", "deadbolt windows 1"),
      with("deadbolt windows 2\n", ""),
      with("build-id 0123456789abcdef", "build-id 0123456789abcde"),
      with("build-id 0123456789abcdef", "build-id ../../../etc/abcd"),
      with("build-id 0123456789abcdef", "build-id 0123456789ABCDEF"),
      with("build-id ", "build-id  "),
      with("window 0x8a2f4", "window 8a2f4"),
      with("window 0x8a2f4", "window 0x"),
      with("window 0x8a2f4", "window 0x1ffffffffffffffff"),
      with("window 0x8a2f4", "windows 0x8a2f4"),
      with(" owed ", " owing "),
      with(" owed ", " owed  "),
      with(" always ", " never "),
      with("unlock+0x1", ""),
      with("unlock+0x1", "unlock 1"),
      with("unlock+0x1", "unlock\t1"),
      with("unlock+0x1", std::string(max_name_bytes + 1, 'x')),
      with("end 4", "end 3"),
      with("end 4", "end 5"),
      with("end 4", "end four"),
      with("end 4", "end 4 "),
      good + "window",
      good + good,
      good + "\n",
      std::string(max_table_bytes + 1, '#'),
  };
  for (const std::string& text : cases) {
    std::string error;
    EXPECT_FALSE(parse_window_table(text, error)) << text;
    EXPECT_TRUE(error.starts_with("line ")) << error;
  }
}

TEST(window_table, refuses_what_is_no_proof) {
  const std::string good = std::string(" ") + deadbolt::testing::sample_name + " ";
  for (const char* const bad : deadbolt::testing::no_proofs) {
    std::string error;
    EXPECT_FALSE(parse_window_table(with(good, std::string(" ") + bad + " "), error)) << bad;
  }
}

TEST(window_table, refuses_code_of_another_length_or_alphabet) {
  std::string text = format_window_table(sample_table());
  const std::size_t code = text.find(" always ") + 8;
  std::string error;
  EXPECT_FALSE(parse_window_table(std::string(text).erase(code, 2), error));
  EXPECT_FALSE(parse_window_table(std::string(text).insert(code, "00"), error));
  EXPECT_FALSE(parse_window_table(std::string(text).replace(code, 1, "g"), error));
  EXPECT_FALSE(parse_window_table(std::string(text).replace(code, 1, "A"), error));
}

TEST(window_table, refuses_more_windows_than_any_libc_has) {
  window_table table = sample_table();
  table.windows.assign(max_windows + 1, table.windows.front());
  std::string error;
  EXPECT_FALSE(parse_window_table(format_window_table(table), error));
}

TEST(window_set, finds_by_code_and_place_in_the_page) {
  window_set set;
  set.add(sample_table());
  EXPECT_EQ(set.size(), 4u);
  deadbolt_window_key key = key_of(window_at(0x8a2f6, 0, 0));
  ASSERT_NE(set.find(key), nullptr);
  EXPECT_EQ(set.find(key)->kind, sample_kind);
  key.page_offset += 1;
  EXPECT_EQ(set.find(key), nullptr);
  key.page_offset -= 1;
  for (std::uint8_t& byte : key.code) {
    byte ^= 0x80;
    EXPECT_EQ(set.find(key), nullptr);
    byte ^= 0x80;
  }
}

// The same code in two libcs.
deadbolt_window both(std::uint32_t kind, std::uint8_t owed, std::uint32_t other_kind,
                     std::uint8_t other_owed) {
  window_set set;
  libc_window window = window_at(0x1000, kind, owed);
  set.add({.build_id = "00000000", .windows = {window}});
  window.what = {other_kind, other_owed};
  set.add({.build_id = "11111111", .windows = {window}});
  EXPECT_EQ(set.size(), 1u);
  return *set.find(key_of(window));
}

TEST(window_set, keeps_the_more_careful_of_two_meanings) {
  EXPECT_EQ(both(DEADBOLT_CS_ALWAYS, 0, DEADBOLT_CS_ALWAYS, 1).owed, 1);
  EXPECT_EQ(both(DEADBOLT_CS_ALWAYS, 1, DEADBOLT_CS_ALWAYS, 0).owed, 1);
  EXPECT_EQ(both(DEADBOLT_CS_ALWAYS, 0, sample_kind, 0).kind, sample_kind);
  EXPECT_EQ(both(sample_kind, 0, DEADBOLT_CS_ALWAYS, 0).kind, sample_kind);
  const deadbolt_window at_odds = both(sample_kind, 0, DEADBOLT_CS_UNLOCK_PI, 0);
  EXPECT_EQ(deadbolt_window_rule(&at_odds, &deadbolt::testing::convincing_state),
            DEADBOLT_REPAIR_NONE);
}

} // namespace
