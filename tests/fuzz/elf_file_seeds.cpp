// SPDX-License-Identifier: MIT
// Writes small shared objects into a directory, for the fuzzer to damage.
#include <guard/unlock_windows/elf_file.hpp>

#include <elf.h>
#include <fstream>
#include <libc_paths.hpp>
#include <string>

namespace {

struct object {
  Elf64_Ehdr header;
  Elf64_Phdr segments[2];
  Elf64_Shdr sections[3];
  Elf64_Nhdr note;
  char note_name[4];
  unsigned char id[20];
  char interpreter[32];
  char names[32];
  Elf64_Sym symbols[3];
};

object make_object() {
  object made{};
  const auto place = [&](const auto& part) {
    return static_cast<std::uint64_t>(reinterpret_cast<const char*>(&part) -
                                      reinterpret_cast<const char*>(&made));
  };
  std::memcpy(made.header.e_ident, ELFMAG, SELFMAG);
  made.header.e_ident[EI_CLASS] = ELFCLASS64;
  made.header.e_ident[EI_DATA] = ELFDATA2LSB;
  made.header.e_type = ET_DYN;
  made.header.e_machine = deadbolt::guard::libc_machine;
  made.header.e_phoff = place(made.segments);
  made.header.e_phentsize = sizeof(Elf64_Phdr);
  made.header.e_phnum = 2;
  made.header.e_shoff = place(made.sections);
  made.header.e_shentsize = sizeof(Elf64_Shdr);
  made.header.e_shnum = 3;
  made.segments[0].p_type = PT_NOTE;
  made.segments[0].p_offset = place(made.note);
  made.segments[0].p_filesz = sizeof made.note + sizeof made.note_name + sizeof made.id;
  made.segments[1].p_type = PT_INTERP;
  made.segments[1].p_offset = place(made.interpreter);
  made.segments[1].p_filesz = sizeof made.interpreter;
  made.note = {.n_namesz = 4, .n_descsz = sizeof made.id, .n_type = NT_GNU_BUILD_ID};
  std::memcpy(made.note_name, "GNU", 4);
  std::memset(made.id, 0xa5, sizeof made.id);
  std::memcpy(made.interpreter, "/lib64/ld-linux-x86-64.so.2", 28);
  std::memcpy(made.names, "\0lock\0unlock", 13);
  made.sections[1].sh_type = SHT_DYNSYM;
  made.sections[1].sh_offset = place(made.symbols);
  made.sections[1].sh_size = sizeof made.symbols;
  made.sections[1].sh_link = 2;
  made.sections[2].sh_type = SHT_STRTAB;
  made.sections[2].sh_offset = place(made.names);
  made.sections[2].sh_size = sizeof made.names;
  for (unsigned i = 1; i < 3; ++i) {
    made.symbols[i].st_name = i == 1 ? 1 : 6;
    made.symbols[i].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    made.symbols[i].st_shndx = 1;
    made.symbols[i].st_value = std::uint64_t{0x1000} * i;
    made.symbols[i].st_size = 16;
  }
  return made;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const object whole = make_object();
  const std::string bytes(reinterpret_cast<const char*>(&whole), sizeof whole);
  // The seed must be readable before the fuzzer damages it.
  const deadbolt::guard::elf_file file{bytes};
  if (!file.is_native_object() || file.build_id().size() != 40 ||
      file.interpreter() != "/lib64/ld-linux-x86-64.so.2" || file.name_of(0x1008) != "lock+0x8")
    return 1;
  std::ofstream out{std::string(argv[1]) + "/seed", std::ios::binary};
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return out ? 0 : 1;
}
