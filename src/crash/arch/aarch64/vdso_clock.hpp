// SPDX-License-Identifier: MIT
// What the vDSO calls its clock here.
#ifndef DEADBOLT_CRASH_ARCH_AARCH64_VDSO_CLOCK_HPP
#define DEADBOLT_CRASH_ARCH_AARCH64_VDSO_CLOCK_HPP

namespace deadbolt::crash {

inline constexpr const char* vdso_clock_name = "__kernel_clock_gettime";

} // namespace deadbolt::crash
#endif
