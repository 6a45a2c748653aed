// SPDX-License-Identifier: MIT
#include <region/member_pages.hpp>

#include <base/file.hpp>
#include <region/process.hpp>
#include <sys/mman.h>
#include <utility>

namespace deadbolt::regions {

member_pages member_pages::map() noexcept {
  const std::size_t page = system_page();
  void* base = mmap(nullptr, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return member_pages{nullptr};
  auto* bytes = static_cast<std::byte*>(base);
  if (mprotect(bytes + page, page, PROT_READ | PROT_WRITE) == 0 &&
      madvise(bytes + page, page, MADV_WIPEONFORK) == 0) {
    return member_pages{bytes};
  }
  munmap(base, 2 * page);
  return member_pages{nullptr};
}

void member_pages::unmap() const noexcept {
  munmap(base_, 2 * system_page());
}

bool member_pages::show_slot(const open_region& region, std::uint32_t number) const noexcept {
  const std::size_t page = system_page();
  const std::uint64_t offset = region.slot_offset(number) + slot_bytes - page;
  std::byte* there = region.base.load(std::memory_order_relaxed) + offset;
  // mremap() maps it from the region's own mapping and needs no descriptor; mmap() of the file is
  // for Valgrind, which does not know that mremap().
  const bool shown = mremap(there, 0, page, MREMAP_MAYMOVE | MREMAP_FIXED, base_) != MAP_FAILED ||
                     (base::names(region.file.descriptor, region.file.identity) &&
                      mmap(base_, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                           region.file.descriptor, static_cast<off_t>(offset)) != MAP_FAILED);
  // DONTFORK: in a child the links lead nowhere, and the kernel's walk ends there.
  return shown && madvise(base_, page, MADV_DONTFORK) == 0;
}

attachment* take_spare_pages(process_state& process, const base::file_identity& file,
                             std::uint32_t slot_number) noexcept {
  for (attachment*& spare : process.spare) {
    if (spare != nullptr && spare->slot_number == slot_number && spare->file == file) {
      return std::exchange(spare, nullptr);
    }
  }
  return nullptr;
}

bool keep_spare_pages(process_state& process, attachment& former) noexcept {
  for (attachment*& spare : process.spare) {
    if (spare != nullptr) continue;
    spare = &former;
    return true;
  }
  return false;
}

void unmap_spare_pages(process_state& process, const base::file_identity& file) noexcept {
  for (attachment*& spare : process.spare) {
    if (spare == nullptr || spare->file != file) continue;
    member_pages::of(*std::exchange(spare, nullptr)).unmap();
  }
}

} // namespace deadbolt::regions
