// SPDX-License-Identifier: MIT
// Small ELF images in which a symbol search finds the same structures as in a vDSO.
#ifndef DEADBOLT_TESTS_VDSO_IMAGE_BUILDER_HPP
#define DEADBOLT_TESTS_VDSO_IMAGE_BUILDER_HPP

#include <cstdint>
#include <cstring>
#include <elf.h>
#include <string>
#include <vector>

namespace deadbolt::testing {

struct image_options {
  bool hash = true;               // DT_HASH
  bool gnu_hash = true;           // DT_GNU_HASH
  std::uint64_t link_address = 0; // where the image claims to be linked
};

using image_bytes = std::vector<unsigned char>;

// The names of the March 2026 proposal and of Linux 7.2.
inline const std::vector<std::string>& robust_unlock_names() {
  static const std::vector<std::string> names{
      "__vdso_robust_futex_unlock", "__vdso_robust_pi_futex_try_unlock",
      "__vdso_futex_robust_list64_try_unlock", "__vdso_futex_robust_list32_try_unlock"};
  return names;
}

// Function i of `names` is at offset function_offset(i).
inline constexpr std::uint64_t code_offset = 64 + 2 * 56; // behind the two headers
constexpr std::uint64_t function_offset(std::size_t i) {
  return code_offset + 16 * i;
}

inline image_bytes make_image(const std::vector<std::string>& names,
                              const image_options& options = {}) {
  image_bytes image(function_offset(names.size()));
  const auto append = [&](const auto& value) {
    const std::uint64_t offset = image.size();
    const auto* bytes = reinterpret_cast<const unsigned char*>(&value);
    image.insert(image.end(), bytes, bytes + sizeof value);
    return offset;
  };
  const auto align = [&] { image.resize((image.size() + 7) / 8 * 8); };
  const auto count = static_cast<std::uint32_t>(names.size());

  const std::uint64_t symbols = image.size();
  append(Elf64_Sym{});
  std::uint32_t name_offset = 1;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Elf64_Sym symbol{};
    symbol.st_name = name_offset;
    const int binding = i % 2 == 0 ? STB_GLOBAL : STB_WEAK;
    symbol.st_info = static_cast<unsigned char>(ELF64_ST_INFO(binding, STT_FUNC));
    symbol.st_shndx = 1;
    symbol.st_value = options.link_address + function_offset(i);
    append(symbol);
    name_offset += static_cast<std::uint32_t>(names[i].size()) + 1;
  }
  const std::uint64_t strings = image.size();
  image.push_back(std::uint8_t{0});
  for (const std::string& name : names)
    image.insert(image.end(), name.c_str(), name.c_str() + name.size() + 1);
  align();
  // One bucket in both tables; its chain is every symbol in turn.
  const std::uint64_t hash = image.size();
  append(std::uint32_t{1});
  append(count + 1);
  append(std::uint32_t{count > 0 ? 1U : 0U});
  for (std::uint32_t i = 0; i <= count; ++i) append(i > 0 && i < count ? i + 1 : 0U);
  align();
  const std::uint64_t gnu_hash = image.size();
  for (const std::uint32_t word : {1U, 1U, 1U, 0U}) append(word);
  append(~std::uint64_t{0});
  append(std::uint32_t{count > 0 ? 1U : 0U});
  for (std::uint32_t i = 1; i <= count; ++i) append((i << 1) | (i == count ? 1U : 0U));
  align();

  const std::uint64_t dynamic = image.size();
  const auto entry = [&](Elf64_Sxword tag, std::uint64_t value) {
    Elf64_Dyn made{};
    made.d_tag = tag;
    made.d_un.d_val = value;
    append(made);
  };
  entry(DT_STRTAB, options.link_address + strings);
  entry(DT_STRSZ, name_offset);
  entry(DT_SYMTAB, options.link_address + symbols);
  if (options.hash) entry(DT_HASH, options.link_address + hash);
  if (options.gnu_hash) entry(DT_GNU_HASH, options.link_address + gnu_hash);
  entry(DT_NULL, 0);

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 2;
  std::memcpy(image.data(), &header, sizeof header);
  Elf64_Phdr segments[2]{};
  segments[0].p_type = PT_LOAD;
  segments[0].p_vaddr = options.link_address;
  segments[0].p_filesz = segments[0].p_memsz = image.size();
  segments[1].p_type = PT_DYNAMIC;
  segments[1].p_offset = dynamic;
  segments[1].p_vaddr = options.link_address + dynamic;
  segments[1].p_filesz = segments[1].p_memsz = image.size() - dynamic;
  std::memcpy(image.data() + sizeof header, segments, sizeof segments);
  return image;
}

} // namespace deadbolt::testing
#endif
