// SPDX-License-Identifier: MIT
// Text from files, for a terminal.
#ifndef DEADBOLT_CLI_PRINTABLE_TEXT_HPP
#define DEADBOLT_CLI_PRINTABLE_TEXT_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace deadbolt::cli {

// The same text with '?' for what could command a terminal or deceive a reader: control
// characters (C0, DEL, C1), characters that change the direction of the text, and bytes that
// are not UTF-8, which a terminal may take for control characters of another encoding.
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string made;
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xc2 ? 0
                               : first < 0xe0 ? 2
                               : first < 0xf0 ? 3
                               : first < 0xf5 ? 4
                                              : 0;
    bool valid = length != 0 && length <= text.size() - at;
    std::uint32_t letter = length <= 1 ? first : first & (0x7fU >> length);
    for (std::size_t i = 1; valid && i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      valid = (next & 0xc0) == 0x80;
      letter = letter << 6 | (next & 0x3fU);
    }
    if (!valid) {
      made += '?';
      ++at;
      continue;
    }
    const bool commands = letter < 0x20 || (letter >= 0x7f && letter <= 0x9f);
    const bool turns = letter == 0x200e || letter == 0x200f || letter == 0x061c ||
                       (letter >= 0x202a && letter <= 0x202e) ||
                       (letter >= 0x2066 && letter <= 0x2069);
    if (commands || turns) {
      made += '?';
    } else {
      made += text.substr(at, length);
    }
    at += length;
  }
  return made;
}

} // namespace deadbolt::cli
#endif
