// SPDX-License-Identifier: MIT
// The unlock windows of one build of a libc, and the file that keeps them.
//
// A file of an earlier version lacks windows that this version measures, and counts for nothing.
// The file is text, one item a line, in this order:
//
//   deadbolt windows 2
//   build-id 93ac61ec5a8eb1396f9fbd350e3169a558528a40
//   window 0x8a2f4 owed always <64 hexadecimal digits> pthread_mutex_unlock+0x94
//   ...
//   end 13
//
// A window line holds the instruction's offset from where the libc is mapped; whether a wake is
// owed there ("owed" or "free"); the proof that the word was released; the 16 bytes before the
// instruction and the 16 from it on; and a name for people. The last line counts the windows: a
// file without it was truncated. Lines that start with # are comments.
//
// Proofs are "always" and "no-error": a result that is not an error; on x86-64 "zf" and "rax": a
// result of 0; on aarch64 "x0": a result of 0, and lists of registers such as "x1=word,w17=0",
// which must all have that value: the address of the word that list_op_pending names, 0, or the
// thread's id ("w0=tid").
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_TABLE_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_TABLE_HPP

#include "guard/repair_rule.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deadbolt::guard {

struct libc_window {
  std::uint64_t offset = 0;
  std::array<std::uint8_t, DEADBOLT_WINDOW_CODE_SIZE> code{};
  deadbolt_window what{};
  std::string name;
};

[[nodiscard]] deadbolt_window_key key_of(const libc_window& window) noexcept;

struct window_table {
  std::string build_id; // lower-case hexadecimal digits
  std::vector<libc_window> windows;
};

inline constexpr std::size_t max_windows = 512;
inline constexpr std::size_t max_table_bytes = std::size_t{128} * 1024;
inline constexpr std::size_t max_name_bytes = 128;

[[nodiscard]] std::string proof_name(std::uint32_t kind);
[[nodiscard]] bool is_build_id(std::string_view text) noexcept;

// The text is not trusted: nothing if it deviates from the format above in any way, and `error`
// says where.
[[nodiscard]] std::optional<window_table> parse_window_table(std::string_view text,
                                                             std::string& error);
[[nodiscard]] std::string format_window_table(const window_table& table);

// The windows of every libc that a guard knows, as it looks them up.
struct window_key_less {
  bool operator()(const deadbolt_window_key& a, const deadbolt_window_key& b) const noexcept;
};

class window_set {
public:
  // If two libcs have the same code at the same page offset with different meanings, the entry is
  // the one that leads to fewer repairs: a wake is owed, and the proof is one that both accept.
  void add(const window_table& table);
  // nullptr if no known libc has a window there.
  [[nodiscard]] const deadbolt_window* find(const deadbolt_window_key& key) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return windows_.size(); }
  [[nodiscard]] const std::map<deadbolt_window_key, deadbolt_window, window_key_less>&
  all() const noexcept {
    return windows_;
  }

private:
  std::map<deadbolt_window_key, deadbolt_window, window_key_less> windows_;
};

} // namespace deadbolt::guard
#endif
