// SPDX-License-Identifier: MIT
// The names of the proofs in a table of a libc's windows: see unlock_windows/table.hpp.
#ifndef DEADBOLT_GUARD_ARCH_X86_64_WINDOW_PROOFS_HPP
#define DEADBOLT_GUARD_ARCH_X86_64_WINDOW_PROOFS_HPP

#include "guard/repair_rule.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace deadbolt::guard {

inline constexpr struct {
  std::uint32_t kind;
  std::string_view name;
} plain_proofs[] = {{DEADBOLT_CS_ALWAYS, "always"},
                    {DEADBOLT_CS_ZF, "zf"},
                    {DEADBOLT_CS_UNLOCK_PI, "rax"},
                    {DEADBOLT_WINDOW_NO_ERROR, "no-error"}};

// Proofs that name registers: there are none.
[[nodiscard]] inline std::string name_of_exchange(std::uint32_t /*kind*/) {
  return {};
}
[[nodiscard]] inline std::uint32_t exchange_of_name(std::string_view /*name*/) noexcept {
  return 0;
}

} // namespace deadbolt::guard
#endif
