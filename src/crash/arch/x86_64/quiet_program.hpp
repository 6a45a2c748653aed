// SPDX-License-Identifier: MIT
// The machine code of the quiet program, see victim.hpp.
#ifndef DEADBOLT_CRASH_ARCH_X86_64_QUIET_PROGRAM_HPP
#define DEADBOLT_CRASH_ARCH_X86_64_QUIET_PROGRAM_HPP

#include <array>
#include <elf.h>

namespace deadbolt::crash {

inline constexpr Elf64_Half quiet_machine = EM_X86_64;
// mov $60, %eax; xor %edi, %edi; syscall: exit(0)
inline constexpr std::array<unsigned char, 9> quiet_code{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05};

} // namespace deadbolt::crash
#endif
