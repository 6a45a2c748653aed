// SPDX-License-Identifier: MIT
#include "preload/patch.hpp"

#include <base/file.hpp>
#include <base/signals.hpp>
#include <errno.h>
#include <raw_syscall.hpp>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace deadbolt::preload {
namespace {

constexpr std::size_t jump_length = 5;
constexpr std::uintptr_t page = 4096;

// The aligned 8 bytes that the displacement lies in.
std::uint64_t* word_of(const jump_site& site) noexcept {
  const auto displacement = reinterpret_cast<std::uintptr_t>(site.address + 1);
  return reinterpret_cast<std::uint64_t*>(displacement & ~std::uintptr_t{7});
}

std::intptr_t distance(const jump_site& site, const void* destination) noexcept {
  return reinterpret_cast<std::intptr_t>(destination) -
         reinterpret_cast<std::intptr_t>(site.address + jump_length);
}

std::uint64_t patched_word(const jump_site& site, const void* destination) noexcept {
  const auto displacement = static_cast<std::int32_t>(distance(site, destination));
  std::uint64_t word = *word_of(site);
  const auto offset = reinterpret_cast<std::uintptr_t>(site.address + 1) % sizeof word;
  memcpy(reinterpret_cast<char*>(&word) + offset, &displacement, sizeof displacement);
  return word;
}

// /proc/self/task has two links more than there are threads.
bool is_single_threaded() noexcept {
  struct stat tasks {};
  return arch::raw_syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &tasks, 0) == 0 &&
         tasks.st_nlink == 3;
}

// By the kernel, which breaks the sharing of a page that stays executable all the time. The kernel
// does not promise to write the 8 bytes by one store, so this is used only while the process has
// one thread.
bool store_through_proc(std::uint64_t* word, std::uint64_t value) noexcept {
  const base::descriptor memory{base::open_file("/proc/self/mem", O_RDWR)};
  return memory.get() >= 0 &&
         arch::raw_syscall(SYS_pwrite64, memory.get(), &value, sizeof value, word) == sizeof value;
}

// By one store. The page stays executable: a policy against writable code (SELinux, PR_SET_MDWE)
// refuses the first mprotect(), not the one that makes the page read-only again.
bool store_directly(std::uint64_t* word, std::uint64_t value) noexcept {
  const auto start = reinterpret_cast<std::uintptr_t>(word) & ~(page - 1);
  if (arch::raw_syscall(SYS_mprotect, start, page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
    return false;
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
  arch::raw_syscall(SYS_mprotect, start, page, PROT_READ | PROT_EXEC);
  return true;
}

} // namespace

const char* check_patch(const jump_site& site, const void* destination) noexcept {
  const std::intptr_t reach = distance(site, destination);
  if (reach != static_cast<std::int32_t>(reach))
    return "glibc is too far away in memory for a jump to this library";
  const auto offset = reinterpret_cast<std::uintptr_t>(site.address + 1) % sizeof(std::uint64_t);
  if (offset > sizeof(std::uint64_t) - sizeof(std::int32_t))
    return "a jump in glibc cannot be replaced with one aligned store";
  return nullptr;
}

const char* patch(const jump_site& site, const void* destination) noexcept {
  if (const char* const trouble = check_patch(site, destination); trouble != nullptr)
    return trouble;
  std::uint64_t* const word = word_of(site);
  const std::uint64_t value = patched_word(site, destination);
  // No signal handler of this thread runs while the page is writable.
  const base::signals_blocked quiet;
  if (is_single_threaded() && store_through_proc(word, value) &&
      __atomic_load_n(word, __ATOMIC_RELAXED) == value)
    return nullptr;
  if (store_directly(word, value)) return nullptr;
  return "the system does not allow a change of glibc's code";
}

} // namespace deadbolt::preload
