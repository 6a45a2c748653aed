// SPDX-License-Identifier: MIT
#include "guard/unlock_windows/table.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <window_proofs.hpp>

namespace deadbolt::guard {
namespace {

constexpr std::string_view first_line = "deadbolt windows 2";
constexpr std::string_view digits = "0123456789abcdef";

std::string_view take_line(std::string_view& text) noexcept {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view take_word(std::string_view& line) noexcept {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

bool take_number(std::string_view word, int base, std::uint64_t& out) noexcept {
  const char* const end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, out, base);
  return error == std::errc() && rest == end;
}

bool take_code(std::string_view word,
               std::array<std::uint8_t, DEADBOLT_WINDOW_CODE_SIZE>& out) noexcept {
  if (word.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t high = digits.find(word[2 * i]);
    const std::size_t low = digits.find(word[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

bool take_kind(std::string_view word, std::uint32_t& out) {
  for (const auto& each : plain_proofs) {
    if (each.name != word) continue;
    out = each.kind;
    return true;
  }
  out = exchange_of_name(word);
  return out != 0;
}

// Parses the rest of a line that begins with "window ".
bool take_window(std::string_view line, libc_window& out) {
  std::string_view offset = take_word(line);
  if (!offset.starts_with("0x")) return false;
  offset.remove_prefix(2);
  if (!take_number(offset, 16, out.offset)) return false;
  const std::string_view owed = take_word(line);
  if (owed != "owed" && owed != "free") return false;
  out.what.owed = owed == "owed" ? 1 : 0;
  if (!take_kind(take_word(line), out.what.kind)) return false;
  if (!take_code(take_word(line), out.code)) return false;
  const auto is_plain = [](char c) { return c > ' ' && c < '\x7f'; };
  if (line.empty() || line.size() > max_name_bytes || !std::ranges::all_of(line, is_plain))
    return false;
  out.name = line;
  return true;
}

void append_hex(std::string& to, std::uint64_t value) {
  char text[16];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value, 16);
  to.append(text, error == std::errc() ? end : text);
}

} // namespace

deadbolt_window_key key_of(const libc_window& window) noexcept {
  deadbolt_window_key key{};
  std::ranges::copy(window.code, key.code);
  key.page_offset = static_cast<std::uint32_t>(window.offset & DEADBOLT_PAGE_OFFSET_MASK);
  return key;
}

std::string proof_name(std::uint32_t kind) {
  for (const auto& each : plain_proofs)
    if (each.kind == kind) return std::string(each.name);
  const std::string name = name_of_exchange(kind);
  return name.empty() ? "?" : name;
}

bool is_build_id(std::string_view text) noexcept {
  // Of even length, and short enough for the name of a file.
  return text.size() >= 8 && text.size() <= 128 && text.size() % 2 == 0 &&
         text.find_first_not_of(digits) == std::string_view::npos;
}

std::optional<window_table> parse_window_table(std::string_view text, std::string& error) {
  window_table table;
  std::size_t number = 0;
  const auto wrong = [&](const char* what) {
    error = "line " + std::to_string(number) + ": " + what;
    return std::nullopt;
  };
  if (text.size() > max_table_bytes) return wrong("longer than any table");
  enum class part { head, build_id, windows, end } next = part::head;
  while (!text.empty()) {
    ++number;
    std::string_view line = take_line(text);
    if (line.starts_with('#')) continue;
    if (next == part::head) {
      if (line != first_line) return wrong("not a table of this version");
      next = part::build_id;
      continue;
    }
    const std::string_view what = take_word(line);
    if (next == part::build_id) {
      if (what != "build-id" || !is_build_id(line)) return wrong("no build-id");
      table.build_id = line;
      next = part::windows;
    } else if (next == part::windows && what == "window") {
      if (table.windows.size() == max_windows) return wrong("too many windows");
      libc_window window;
      if (!take_window(line, window)) return wrong("not a window");
      table.windows.push_back(std::move(window));
    } else if (next == part::windows && what == "end") {
      std::uint64_t count = 0;
      if (!take_number(line, 10, count) || count != table.windows.size())
        return wrong("not the number of windows");
      next = part::end;
    } else {
      return wrong("unexpected");
    }
  }
  if (next != part::end) return wrong("the end is missing");
  return table;
}

std::string format_window_table(const window_table& table) {
  std::string text{first_line};
  text += "\nbuild-id " + table.build_id + '\n';
  for (const libc_window& window : table.windows) {
    text += "window 0x";
    append_hex(text, window.offset);
    text += window.what.owed != 0 ? " owed " : " free ";
    text += proof_name(window.what.kind);
    text += ' ';
    for (const std::uint8_t byte : window.code) {
      text += digits[byte >> 4];
      text += digits[byte & 15];
    }
    text += ' ' + window.name + '\n';
  }
  return text + "end " + std::to_string(table.windows.size()) + '\n';
}

bool window_key_less::operator()(const deadbolt_window_key& a,
                                 const deadbolt_window_key& b) const noexcept {
  if (a.page_offset != b.page_offset) return a.page_offset < b.page_offset;
  return std::memcmp(a.code, b.code, sizeof a.code) < 0;
}

void window_set::add(const window_table& table) {
  for (const libc_window& window : table.windows) {
    const auto [at, is_new] = windows_.try_emplace(key_of(window), window.what);
    if (is_new) continue;
    deadbolt_window& known = at->second;
    if (window.what.owed != 0) known.owed = 1;
    if (known.kind == window.what.kind) continue;
    if (known.kind == DEADBOLT_CS_ALWAYS)
      known.kind = window.what.kind;
    else if (window.what.kind != DEADBOLT_CS_ALWAYS)
      known.kind = 0; // two different proofs: the rule accepts none
  }
}

const deadbolt_window* window_set::find(const deadbolt_window_key& key) const noexcept {
  const auto found = windows_.find(key);
  return found == windows_.end() ? nullptr : &found->second;
}

} // namespace deadbolt::guard
