// SPDX-License-Identifier: MIT
// What a victim has that depends on the processor: see victim.hpp.
#ifndef DEADBOLT_CRASH_ARCH_AARCH64_PROCESSOR_HPP
#define DEADBOLT_CRASH_ARCH_AARCH64_PROCESSOR_HPP

#include <array>
#include <cstdint>

namespace deadbolt::crash {

// The code of the quiet program: mov x8, #93; mov x0, #0; svc #0: exit(0)
inline constexpr std::array<std::uint32_t, 3> quiet_code{0xd2800ba8, 0xd2800000, 0xd4000001};

// What the vDSO calls its clock.
inline constexpr const char* vdso_clock_name = "__kernel_clock_gettime";

} // namespace deadbolt::crash
#endif
