// SPDX-License-Identifier: MIT
#include <base/vdso_image.hpp>

#include <cstdint>
#include <elf.h>
#include <elf_machine.hpp>
#include <errno.h>
#include <raw_syscall.hpp>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

namespace deadbolt::base {
namespace {

// A copy of the T at `offset`: the image's alignment is not trusted either.
template <class T>
bool read(const vdso_image& image, std::uint64_t offset, T& value) noexcept {
  if (offset > image.size || image.size - offset < sizeof(T)) return false;
  memcpy(&value, image.base + offset, sizeof(T));
  return true;
}

// The tables that name lookup needs, as offsets into the image.
struct dynamic_tables {
  std::uint64_t symbols = 0;
  std::uint64_t strings = 0;
  std::uint64_t strings_size = 0;
  std::uint64_t hash = 0;     // DT_HASH, 0 if absent
  std::uint64_t gnu_hash = 0; // DT_GNU_HASH, 0 if absent
};

struct load_segment {
  std::uint64_t address; // as linked
  std::uint64_t offset;
};

bool read_header(const vdso_image& image, Elf64_Ehdr& header) noexcept {
  return read(image, 0, header) && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
         header.e_machine == arch::elf_machine && header.e_phentsize == sizeof(Elf64_Phdr);
}

bool find_segments(const vdso_image& image, load_segment& load, Elf64_Phdr& dynamic) noexcept {
  Elf64_Ehdr header;
  if (!read_header(image, header)) return false;
  bool have_load = false;
  bool have_dynamic = false;
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (header.e_phoff > image.size || !read(image, header.e_phoff + i * sizeof segment, segment)) {
      return false;
    }
    if (segment.p_type == PT_LOAD && !have_load) {
      have_load = true;
      load = {.address = segment.p_vaddr, .offset = segment.p_offset};
    } else if (segment.p_type == PT_DYNAMIC && !have_dynamic) {
      have_dynamic = true;
      dynamic = segment;
    }
  }
  return have_load && have_dynamic;
}

// Linked address to offset in the image; what is outside becomes an offset that
// no read accepts.
std::uint64_t to_offset(const load_segment& load, std::uint64_t address) noexcept {
  return address - load.address + load.offset;
}

bool find_tables(const vdso_image& image, const load_segment& load, const Elf64_Phdr& dynamic,
                 dynamic_tables& tables) noexcept {
  if (dynamic.p_offset > image.size) return false;
  const std::uint64_t count = dynamic.p_filesz / sizeof(Elf64_Dyn);
  for (std::uint64_t i = 0; i < count; ++i) {
    Elf64_Dyn entry;
    if (!read(image, dynamic.p_offset + i * sizeof entry, entry)) return false;
    const std::uint64_t offset = to_offset(load, entry.d_un.d_ptr);
    switch (entry.d_tag) {
    case DT_SYMTAB:
      tables.symbols = offset;
      break;
    case DT_STRTAB:
      tables.strings = offset;
      break;
    case DT_STRSZ:
      tables.strings_size = entry.d_un.d_val;
      break;
    case DT_HASH:
      tables.hash = offset;
      break;
    case DT_GNU_HASH:
      tables.gnu_hash = offset;
      break;
    case DT_NULL:
      return tables.symbols != 0 && tables.strings != 0;
    default:
      break;
    }
  }
  return false; // not terminated
}

// The number of symbols by DT_GNU_HASH: one past the end of the longest chain.
bool count_by_gnu_hash(const vdso_image& image, std::uint64_t table,
                       std::uint64_t& count) noexcept {
  std::uint32_t header[4]; // buckets, first hashed symbol, Bloom words, Bloom shift
  if (!read(image, table, header)) return false;
  const std::uint64_t buckets = table + sizeof header + std::uint64_t{header[2]} * 8;
  const std::uint64_t chains = buckets + std::uint64_t{header[0]} * 4;
  std::uint32_t last = 0;
  for (std::uint64_t i = 0; i < header[0]; ++i) {
    std::uint32_t first;
    if (!read(image, buckets + i * 4, first)) return false;
    if (first > last) last = first;
  }
  if (last < header[1]) {
    count = header[1];
    return true;
  }
  for (std::uint64_t symbol = last;; ++symbol) {
    std::uint32_t hash;
    if (!read(image, chains + (symbol - header[1]) * 4, hash)) return false;
    if ((hash & 1) != 0) {
      count = symbol + 1;
      return true;
    }
  }
}

bool count_symbols(const vdso_image& image, const dynamic_tables& tables,
                   std::uint64_t& count) noexcept {
  if (tables.hash != 0) {
    std::uint32_t header[2]; // buckets, chains: one chain entry a symbol
    if (!read(image, tables.hash, header)) return false;
    count = header[1];
    return true;
  }
  return tables.gnu_hash != 0 && count_by_gnu_hash(image, tables.gnu_hash, count);
}

bool has_name(const vdso_image& image, const dynamic_tables& tables, const Elf64_Sym& symbol,
              const char* name) noexcept {
  const std::uint64_t length = strlen(name) + 1; // the terminator is compared too
  if (tables.strings > image.size || symbol.st_name > tables.strings_size ||
      tables.strings_size - symbol.st_name < length) {
    return false;
  }
  const std::uint64_t offset = tables.strings + symbol.st_name;
  return offset <= image.size && image.size - offset >= length &&
         memcmp(image.base + offset, name, length) == 0;
}

bool is_defined_function(const Elf64_Sym& symbol) noexcept {
  const unsigned binding = ELF64_ST_BIND(symbol.st_info);
  return symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
         (binding == STB_GLOBAL || binding == STB_WEAK);
}

} // namespace

const void* vdso_image::find_function(const char* name) const noexcept {
  load_segment load{};
  Elf64_Phdr dynamic{};
  dynamic_tables tables;
  std::uint64_t count = 0;
  if (!find_segments(*this, load, dynamic) || !find_tables(*this, load, dynamic, tables) ||
      tables.symbols > size || !count_symbols(*this, tables, count)) {
    return nullptr;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    Elf64_Sym symbol;
    if (!read(*this, tables.symbols + i * sizeof symbol, symbol)) return nullptr;
    if (!is_defined_function(symbol) || !has_name(*this, tables, symbol, name)) continue;
    const std::uint64_t offset = to_offset(load, symbol.st_value);
    return offset < size ? base + offset : nullptr;
  }
  return nullptr;
}

vdso_image this_process_vdso() noexcept {
  const auto* base = reinterpret_cast<const unsigned char*>(getauxval(AT_SYSINFO_EHDR));
  constexpr std::size_t page = 4096;
  if (base == nullptr || reinterpret_cast<std::uintptr_t>(base) % page != 0) return {nullptr, 0};
  // AT_SYSINFO_EHDR does not give the size. So each page is probed, without /proc, by a system
  // call that reads a signal set from it: EFAULT shows that the page cannot be read; the call fails
  // with another error if it can. The vDSO has a few pages.
  constexpr std::size_t most_pages = 16;
  constexpr int no_such_way = -1;
  constexpr std::size_t signal_set_size = 8;
  std::size_t pages = 0;
  while (pages < most_pages &&
         arch::raw_syscall(SYS_rt_sigprocmask, no_such_way, base + pages * page, nullptr,
                           signal_set_size) == -EINVAL) {
    ++pages;
  }
  return {base, pages * page};
}

} // namespace deadbolt::base
