// SPDX-License-Identifier: MIT
#include "crash/quiet_program.hpp"

#include "crash/failure.hpp"

#include <cstddef>
#include <elf_machine.hpp>
#include <fcntl.h>
#include <processor.hpp>
#include <sys/mman.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

constexpr int quiet_program_failed = 71;
constexpr Elf64_Addr program_base = 0x400000;

struct program {
  Elf64_Ehdr header;
  Elf64_Phdr segment;
  decltype(quiet_code) code;
};

constexpr program quiet{
    .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
               .e_type = ET_EXEC,
               .e_machine = arch::elf_machine,
               .e_version = EV_CURRENT,
               .e_entry = program_base + offsetof(program, code),
               .e_phoff = offsetof(program, segment),
               .e_shoff = 0,
               .e_flags = 0,
               .e_ehsize = sizeof(Elf64_Ehdr),
               .e_phentsize = sizeof(Elf64_Phdr),
               .e_phnum = 1,
               .e_shentsize = 0,
               .e_shnum = 0,
               .e_shstrndx = 0},
    .segment = {.p_type = PT_LOAD,
                .p_flags = PF_R | PF_X,
                .p_offset = 0,
                .p_vaddr = program_base,
                .p_paddr = program_base,
                .p_filesz = sizeof(program),
                .p_memsz = sizeof(program),
                .p_align = 0x1000},
    .code = quiet_code};

} // namespace

base::descriptor open_quiet_program() {
  // Since Linux 6.3, which can be configured to require it; older kernels refuse it.
  constexpr unsigned executable = 0x10; // MFD_EXEC
  base::descriptor file{memfd_create("deadbolt-quiet", MFD_CLOEXEC | executable)};
  if (!file) file = base::descriptor{memfd_create("deadbolt-quiet", MFD_CLOEXEC)};
  if (!file) fail_with_errno("memfd_create");
  if (write(file.get(), &quiet, sizeof quiet) != sizeof quiet) fail_with_errno("write to a memfd");
  return file;
}

void execute_quiet_program(int descriptor) noexcept {
  char name[] = "deadbolt-quiet";
  char* const arguments[] = {name, nullptr};
  char* const environment[] = {nullptr};
  execveat(descriptor, "", arguments, environment, AT_EMPTY_PATH);
  _exit(quiet_program_failed);
}

} // namespace deadbolt::crash
