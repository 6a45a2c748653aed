// SPDX-License-Identifier: MIT
// Where distributions keep their libcs.
#ifndef DEADBOLT_GUARD_ARCH_X86_64_LIBC_PATHS_HPP
#define DEADBOLT_GUARD_ARCH_X86_64_LIBC_PATHS_HPP

namespace deadbolt::guard {

inline constexpr const char* libc_paths[] = {"/lib/x86_64-linux-gnu/libc.so.6",
                                             "/usr/lib/x86_64-linux-gnu/libc.so.6",
                                             "/lib64/libc.so.6",
                                             "/usr/lib64/libc.so.6",
                                             "/usr/lib/libc.so.6",
                                             "/lib/libc.so.6",
                                             "/lib/ld-musl-x86_64.so.1"};

} // namespace deadbolt::guard
#endif
