// SPDX-License-Identifier: MIT
// The symbols of the running program, local labels included.
#ifndef DEADBOLT_TESTS_OWN_SYMBOLS_HPP
#define DEADBOLT_TESTS_OWN_SYMBOLS_HPP

#include <cstdint>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <link.h>
#include <map>
#include <string>
#include <sys/auxv.h>
#include <vector>

namespace deadbolt::testing {

struct own_symbol {
  std::uintptr_t address; // in this process
  std::size_t size;
};

inline std::map<std::string, own_symbol> own_symbols() {
  std::ifstream file{"/proc/self/exe", std::ios::binary};
  const std::vector<char> bytes{std::istreambuf_iterator<char>{file}, {}};
  const auto at = [&]<class T>(std::size_t offset, T& value) {
    if (offset + sizeof(T) > bytes.size()) std::abort();
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
  };
  Elf64_Ehdr header;
  at(0, header);
  // A position-independent program is loaded at an offset, which the entry point shows.
  const std::uintptr_t bias = getauxval(AT_ENTRY) - header.e_entry;
  std::map<std::string, own_symbol> symbols;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr table;
    at(header.e_shoff + i * sizeof table, table);
    if (table.sh_type != SHT_SYMTAB) continue;
    Elf64_Shdr names;
    at(header.e_shoff + table.sh_link * sizeof names, names);
    for (std::size_t j = 0; j < table.sh_size / sizeof(Elf64_Sym); ++j) {
      Elf64_Sym symbol;
      at(table.sh_offset + j * sizeof symbol, symbol);
      if (symbol.st_shndx == SHN_UNDEF) continue;
      symbols[bytes.data() + names.sh_offset + symbol.st_name] = {bias + symbol.st_value,
                                                                  symbol.st_size};
    }
  }
  return symbols;
}

} // namespace deadbolt::testing
#endif
