// SPDX-License-Identifier: MIT
// What ELF calls this architecture.
#ifndef DEADBOLT_ARCH_AARCH64_ELF_MACHINE_HPP
#define DEADBOLT_ARCH_AARCH64_ELF_MACHINE_HPP

#include <elf.h>

namespace deadbolt::arch {

inline constexpr Elf64_Half elf_machine = EM_AARCH64;

} // namespace deadbolt::arch
#endif
