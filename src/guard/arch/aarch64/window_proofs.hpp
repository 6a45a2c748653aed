// SPDX-License-Identifier: MIT
// The names of the proofs in a table of a libc's windows: see unlock_windows/table.hpp.
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_WINDOW_PROOFS_HPP
#define DEADBOLT_GUARD_ARCH_AARCH64_WINDOW_PROOFS_HPP

#include "guard/repair_rule.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace deadbolt::guard {

inline constexpr struct {
  std::uint32_t kind;
  std::string_view name;
} plain_proofs[] = {{DEADBOLT_CS_ALWAYS, "always"},
                    {DEADBOLT_CS_UNLOCK_PI, "x0"},
                    {DEADBOLT_WINDOW_NO_ERROR, "no-error"}};

// A proof that names registers: x1=word, x1=word,w17=0 or x2=word,w0=tid. Empty for other kinds.
[[nodiscard]] inline std::string name_of_exchange(std::uint32_t kind) {
  if (deadbolt_proof_is_about_the_word(kind) == 0) return {};
  std::string name;
  const auto add = [&name](char width, std::uint32_t number, const char* value) {
    if (number >= DEADBOLT_NO_REGISTER) return;
    if (!name.empty()) name += ',';
    name += width + std::to_string(number) + '=' + value;
  };
  add('x', DEADBOLT_EXCHANGE_ADDRESS(kind), "word");
  add('w', DEADBOLT_EXCHANGE_STATUS(kind), "0");
  add('w', DEADBOLT_EXCHANGE_SEEN(kind), "tid");
  return name;
}

// 0: it is no such name.
[[nodiscard]] inline std::uint32_t exchange_of_name(std::string_view name) {
  std::uint32_t registers[3] = {DEADBOLT_NO_REGISTER, DEADBOLT_NO_REGISTER, DEADBOLT_NO_REGISTER};
  constexpr std::string_view values[3] = {"word", "0", "tid"};
  std::string_view rest = name;
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(part.size() < rest.size() ? part.size() + 1 : part.size());
    std::uint32_t number = 0;
    std::size_t at = 1;
    for (; at < part.size() && at < 3 && part[at] >= '0' && part[at] <= '9'; ++at)
      number = number * 10 + static_cast<std::uint32_t>(part[at] - '0');
    if (at >= part.size() || part[at] != '=' || number >= DEADBOLT_NO_REGISTER) return 0;
    for (unsigned which = 0; which < 3; ++which)
      if (part.substr(at + 1) == values[which]) registers[which] = number;
  }
  // The address is always part of the proof. Written in another way, it is not this format.
  const std::uint32_t kind = deadbolt_exchange_kind(registers[0], registers[1], registers[2]);
  return registers[0] != DEADBOLT_NO_REGISTER && name_of_exchange(kind) == name ? kind : 0;
}

} // namespace deadbolt::guard
#endif
