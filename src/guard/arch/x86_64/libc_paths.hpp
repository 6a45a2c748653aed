// SPDX-License-Identifier: MIT
// Libcs: where distributions keep them, and what they are built for.
#ifndef DEADBOLT_GUARD_ARCH_X86_64_LIBC_PATHS_HPP
#define DEADBOLT_GUARD_ARCH_X86_64_LIBC_PATHS_HPP

#include <elf.h>

namespace deadbolt::guard {

inline constexpr const char* libc_paths[] = {"/lib/x86_64-linux-gnu/libc.so.6",
                                             "/usr/lib/x86_64-linux-gnu/libc.so.6",
                                             "/lib64/libc.so.6",
                                             "/usr/lib64/libc.so.6",
                                             "/usr/lib/libc.so.6",
                                             "/lib/libc.so.6",
                                             "/lib/ld-musl-x86_64.so.1"};

inline constexpr Elf64_Half libc_machine = EM_X86_64;
inline constexpr const char* architecture_name = "x86-64";

// Part of the name of a table's file: a libc has the same windows on all processors.
[[nodiscard]] inline const char* processor_variant() noexcept {
  return "";
}

} // namespace deadbolt::guard
#endif
