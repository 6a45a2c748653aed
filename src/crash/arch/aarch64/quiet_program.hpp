// SPDX-License-Identifier: MIT
// The machine code of the quiet program, see victim.hpp.
#ifndef DEADBOLT_CRASH_ARCH_AARCH64_QUIET_PROGRAM_HPP
#define DEADBOLT_CRASH_ARCH_AARCH64_QUIET_PROGRAM_HPP

#include <array>
#include <cstdint>
#include <elf.h>

namespace deadbolt::crash {

inline constexpr Elf64_Half quiet_machine = EM_AARCH64;
// mov x8, #93; mov x0, #0; svc #0: exit(0)
inline constexpr std::array<std::uint32_t, 3> quiet_code{0xd2800ba8, 0xd2800000, 0xd4000001};

} // namespace deadbolt::crash
#endif
