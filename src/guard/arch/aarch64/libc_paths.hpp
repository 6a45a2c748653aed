// SPDX-License-Identifier: MIT
// Libcs: where distributions keep them, and what they are built for.
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_LIBC_PATHS_HPP
#define DEADBOLT_GUARD_ARCH_AARCH64_LIBC_PATHS_HPP

#include <elf.h>
#include <sys/auxv.h>

namespace deadbolt::guard {

inline constexpr const char* libc_paths[] = {"/lib/aarch64-linux-gnu/libc.so.6",
                                             "/usr/lib/aarch64-linux-gnu/libc.so.6",
                                             "/lib64/libc.so.6",
                                             "/usr/lib64/libc.so.6",
                                             "/usr/lib/libc.so.6",
                                             "/lib/libc.so.6",
                                             "/lib/ld-musl-aarch64.so.1"};

inline constexpr Elf64_Half libc_machine = EM_AARCH64;
inline constexpr const char* architecture_name = "aarch64";

// glibc has other windows where the processor has LSE instructions: part of the name of a table's
// file.
[[nodiscard]] inline const char* processor_variant() noexcept {
  constexpr unsigned long has_lse = 1UL << 8; // HWCAP_ATOMICS
  return (::getauxval(AT_HWCAP) & has_lse) != 0 ? ".lse" : ".llsc";
}

} // namespace deadbolt::guard
#endif
