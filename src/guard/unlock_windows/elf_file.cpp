// SPDX-License-Identifier: MIT
#include "guard/unlock_windows/elf_file.hpp"

#include <base/descriptor.hpp>

#include <cerrno>
#include <elf.h>
#include <fcntl.h>
#include <libc_paths.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

constexpr std::size_t most_headers = 1024;
// No function of a libc has a longer name. A hostile table of names may have no end.
constexpr std::size_t longest_text = 4096;

std::string hex(std::uint64_t value) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), digits[value & 15]);
    value >>= 4;
  } while (value != 0);
  return text;
}

} // namespace

std::string_view elf_file::part(std::uint64_t offset, std::uint64_t size) const noexcept {
  if (offset > bytes_.size() || bytes_.size() - offset < size) return {};
  return std::string_view(bytes_).substr(offset, size);
}

std::string_view elf_file::text_at(std::string_view strings, std::uint64_t offset) const noexcept {
  if (offset >= strings.size()) return {};
  strings = strings.substr(offset, longest_text);
  const std::size_t end = strings.find('\0');
  return end == std::string_view::npos ? std::string_view() : strings.substr(0, end);
}

bool elf_file::is_native_object() const noexcept {
  const auto header = at<Elf64_Ehdr>(0);
  return header && std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
         header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
         header->e_machine == libc_machine && header->e_type == ET_DYN;
}

std::vector<std::string_view> elf_file::segments(std::uint32_t type) const {
  std::vector<std::string_view> found;
  const auto header = at<Elf64_Ehdr>(0);
  if (!header || header->e_phentsize != sizeof(Elf64_Phdr)) return found;
  for (std::uint64_t i = 0; i < header->e_phnum && i < most_headers; ++i) {
    const auto segment = at<Elf64_Phdr>(header->e_phoff + i * sizeof(Elf64_Phdr));
    if (segment && segment->p_type == type)
      found.push_back(part(segment->p_offset, segment->p_filesz));
  }
  return found;
}

std::string elf_file::build_id() const {
  constexpr auto rounded = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
  for (std::string_view notes : segments(PT_NOTE)) {
    Elf64_Nhdr note;
    while (notes.size() >= sizeof note) {
      std::memcpy(&note, notes.data(), sizeof note);
      notes.remove_prefix(sizeof note);
      const std::uint64_t name = rounded(note.n_namesz);
      const std::uint64_t content = rounded(note.n_descsz);
      if (name + content > notes.size()) break;
      const bool is_gnu = notes.substr(0, note.n_namesz) == std::string_view("GNU\0", 4);
      if (is_gnu && note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= 64) {
        std::string id;
        for (const char byte : notes.substr(name, note.n_descsz)) {
          const std::string digits = hex(static_cast<unsigned char>(byte));
          id += digits.size() == 1 ? "0" + digits : digits;
        }
        return id;
      }
      notes.remove_prefix(name + content);
    }
  }
  return {};
}

std::string elf_file::interpreter() const {
  for (const std::string_view path : segments(PT_INTERP)) return std::string(text_at(path, 0));
  return {};
}

std::vector<elf_file::function> elf_file::functions() const {
  std::vector<function> found;
  const auto header = at<Elf64_Ehdr>(0);
  if (!header || header->e_shentsize != sizeof(Elf64_Shdr)) return found;
  const auto section = [&](std::uint64_t index) {
    return at<Elf64_Shdr>(header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (std::uint64_t i = 0; i < header->e_shnum && i < most_headers; ++i) {
    const auto table = section(i);
    if (!table || table->sh_type != SHT_DYNSYM) continue;
    const auto names = section(table->sh_link);
    if (!names) continue;
    const std::string_view strings = part(names->sh_offset, names->sh_size);
    const std::string_view symbols = part(table->sh_offset, table->sh_size);
    for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= symbols.size(); at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, symbols.data() + at, sizeof symbol);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      found.push_back({text_at(strings, symbol.st_name), symbol.st_value, symbol.st_size});
    }
    break; // a file has one; a hostile one could name the same bytes a thousand times
  }
  return found;
}

bool elf_file::defines_function(std::string_view name) const {
  for (const function& each : functions())
    if (each.name == name) return true;
  return false;
}

std::string elf_file::name_of(std::uint64_t offset) const {
  for (const function& each : functions()) {
    if (offset < each.offset || offset - each.offset >= each.size) continue;
    return std::string(each.name) + "+0x" + hex(offset - each.offset);
  }
  return "+0x" + hex(offset);
}

std::optional<std::string> read_whole_file(const std::string& path, std::size_t most,
                                           std::string& error) {
  // Opening a FIFO must not block.
  const base::descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about {};
  if (!file || ::fstat(file.get(), &about) != 0) {
    error = path + ": " + std::strerror(errno);
    return std::nullopt;
  }
  if (!S_ISREG(about.st_mode) || about.st_size < 0 ||
      static_cast<std::size_t>(about.st_size) > most) {
    error = path + ": not a regular file of at most " + std::to_string(most) + " bytes";
    return std::nullopt;
  }
  std::string bytes(static_cast<std::size_t>(about.st_size), '\0');
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t count = ::read(file.get(), bytes.data() + got, bytes.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  bytes.resize(got);
  return bytes;
}

} // namespace deadbolt::guard
