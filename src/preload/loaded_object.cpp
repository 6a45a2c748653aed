// SPDX-License-Identifier: MIT
#include "preload/loaded_object.hpp"

#include <elf.h>
#include <link.h>
#include <string.h>

namespace deadbolt::preload {
namespace {

std::uint32_t gnu_hash_of(const char* name) noexcept {
  std::uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

template <class Visit>
void for_each_object(Visit visit) noexcept {
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* argument) {
        return (*static_cast<Visit*>(argument))(loaded_object{*info}) ? 1 : 0;
      },
      &visit);
}

bool is_this_library(const loaded_object& object) noexcept {
  static const char here = 0;
  return object.contains(&here);
}

} // namespace

loaded_object::loaded_object(const dl_phdr_info& info) noexcept
    : base_{info.dlpi_addr}, begin_{UINTPTR_MAX} {
  const ElfW(Dyn)* dynamic = nullptr;
  for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const std::uintptr_t address = base_ + segment.p_vaddr;
    if (segment.p_type == PT_DYNAMIC) dynamic = reinterpret_cast<const ElfW(Dyn)*>(address);
    if (segment.p_type != PT_LOAD) continue;
    if (address < begin_) begin_ = address;
    if (address + segment.p_memsz > end_) end_ = address + segment.p_memsz;
    if ((segment.p_flags & PF_X) != 0 && code_.begin == nullptr) {
      code_ = {.begin = reinterpret_cast<const unsigned char*>(address),
               .end = reinterpret_cast<const unsigned char*>(address + segment.p_filesz)};
    }
  }
  if (dynamic == nullptr) return;
  for (; dynamic->d_tag != DT_NULL; ++dynamic) {
    std::uintptr_t address = dynamic->d_un.d_ptr;
    // The loader relocates these in place, where it can write to them: not in the vDSO.
    if (address < base_) address += base_;
    switch (dynamic->d_tag) {
    case DT_SYMTAB:
      symbols_ = reinterpret_cast<const void*>(address);
      break;
    case DT_STRTAB:
      strings_ = reinterpret_cast<const char*>(address);
      break;
    case DT_GNU_HASH:
      hash_ = reinterpret_cast<const std::uint32_t*>(address);
      break;
    case DT_VERSYM:
      versions_ = reinterpret_cast<const std::uint16_t*>(address);
      break;
    case DT_SONAME:
      soname_ = dynamic->d_un.d_val;
      break;
    default:
      break;
    }
  }
}

bool loaded_object::contains(const void* address) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  return at >= begin_ && at < end_;
}

bool loaded_object::is_named(const char* soname) const noexcept {
  return strings_ != nullptr && soname_ != 0 && strcmp(strings_ + soname_, soname) == 0;
}

function loaded_object::find(const char* name) const noexcept {
  if (symbols_ == nullptr || strings_ == nullptr || hash_ == nullptr) return {};
  const auto* const symbols = static_cast<const ElfW(Sym)*>(symbols_);
  // Buckets, first hashed symbol, Bloom words of 8 bytes, Bloom shift.
  const std::uint32_t bucket_count = hash_[0];
  const std::uint32_t first = hash_[1];
  if (bucket_count == 0) return {};
  const std::uint32_t* const buckets = hash_ + 4 + std::size_t{hash_[2]} * 2;
  const std::uint32_t* const chains = buckets + bucket_count;
  const std::uint32_t hash = gnu_hash_of(name);
  function found;
  for (std::uint32_t i = buckets[hash % bucket_count]; i >= first && i != 0; ++i) {
    const std::uint32_t entry = chains[i - first];
    const ElfW(Sym)& symbol = symbols[i];
    if ((entry | 1) == (hash | 1) && symbol.st_shndx != SHN_UNDEF &&
        ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && strcmp(strings_ + symbol.st_name, name) == 0) {
      found = {.address = reinterpret_cast<const unsigned char*>(base_ + symbol.st_value),
               .size = symbol.st_size};
      constexpr std::uint16_t not_the_default = 0x8000;
      if (versions_ == nullptr || (versions_[i] & not_the_default) == 0) return found;
    }
    if ((entry & 1) != 0) break;
  }
  return found;
}

function find_next_function(const char* name) noexcept {
  function found;
  bool after_us = false;
  for_each_object([&](const loaded_object& object) {
    if (after_us) found = object.find(name);
    after_us = after_us || is_this_library(object);
    return static_cast<bool>(found);
  });
  loaded_object libc;
  // Loaded by dlopen, this library is the last one.
  if (!found && find_libc(libc)) found = libc.find(name);
  return found;
}

bool find_libc(loaded_object& libc) noexcept {
  bool is_there = false;
  for_each_object([&](const loaded_object& object) {
    // From 2.34 on libpthread.so.0 is empty, and libc.so.6 has it all; before, libc.so.6 has
    // functions of these names that pass calls on.
    const bool is_libpthread = object.is_named("libpthread.so.0");
    if (!is_libpthread && !object.is_named("libc.so.6")) return false;
    if (!object.find("pthread_mutex_unlock")) return false;
    libc = object;
    is_there = true;
    return is_libpthread;
  });
  return is_there;
}

} // namespace deadbolt::preload
