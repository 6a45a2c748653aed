// SPDX-License-Identifier: MIT
// What a victim has that depends on the processor: see victim.hpp.
#ifndef DEADBOLT_CRASH_ARCH_X86_64_PROCESSOR_HPP
#define DEADBOLT_CRASH_ARCH_X86_64_PROCESSOR_HPP

#include <array>

namespace deadbolt::crash {

// The code of the quiet program: mov $60, %eax; xor %edi, %edi; syscall: exit(0)
inline constexpr std::array<unsigned char, 9> quiet_code{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05};

// What the vDSO calls its clock.
inline constexpr const char* vdso_clock_name = "__vdso_clock_gettime";

} // namespace deadbolt::crash
#endif
