// SPDX-License-Identifier: MIT
// What the sandbox allows besides the calls that every architecture has.
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_SANDBOX_CALLS_HPP
#define DEADBOLT_GUARD_ARCH_AARCH64_SANDBOX_CALLS_HPP

#include <linux/audit.h>
#include <sys/syscall.h>

#include <utility>

namespace deadbolt::guard {

inline constexpr unsigned sandbox_architecture = AUDIT_ARCH_AARCH64;
inline constexpr long architecture_calls[] = {SYS_faccessat};
// Calls that open a file, and which of their arguments are the flags.
inline constexpr std::pair<long, unsigned> opening_calls[] = {{SYS_openat, 2}};

} // namespace deadbolt::guard
#endif
