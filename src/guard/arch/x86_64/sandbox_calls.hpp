// SPDX-License-Identifier: MIT
// What the sandbox allows besides the calls that every architecture has.
#ifndef DEADBOLT_GUARD_ARCH_X86_64_SANDBOX_CALLS_HPP
#define DEADBOLT_GUARD_ARCH_X86_64_SANDBOX_CALLS_HPP

#include <linux/audit.h>
#include <sys/syscall.h>

#include <utility>

namespace deadbolt::guard {

inline constexpr unsigned sandbox_architecture = AUDIT_ARCH_X86_64;
inline constexpr long architecture_calls[] = {SYS_stat, SYS_access, SYS_readlink, SYS_arch_prctl,
                                              SYS_fork, SYS_vfork,  SYS_pause};
// Calls that open a file, and which of their arguments are the flags.
inline constexpr std::pair<long, unsigned> opening_calls[] = {{SYS_open, 1}, {SYS_openat, 2}};

} // namespace deadbolt::guard
#endif
