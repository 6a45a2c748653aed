// SPDX-License-Identifier: MIT
// The two pages of a member: a node on the thread's robust list whose links no other process can
// write. The liveness word ends a shared page, a second mapping of the slot; `prev` and `next`,
// which the kernel and the libc follow, are where this libc expects them behind a lock word, and
// that is in the private page behind. The word's place in the slot's last 4096 bytes, and the
// links':
//   glibc 64 bits  word 4072, prev 4096, next 4104   (next - word = 32)
//   musl  64 bits  word 4076, prev 4096, next 4104   (28)
//   glibc 32 bits  word 4076,            next 4096   (20, singly linked)
//   musl  32 bits  word 4088, prev 4096, next 4100   (12)
#ifndef DEADBOLT_REGION_MEMBER_PAGES_HPP
#define DEADBOLT_REGION_MEMBER_PAGES_HPP

#include <base/robust_list.hpp>
#include <cstddef>
#include <cstdint>
#include <region/membership.hpp>
#include <unistd.h>

namespace deadbolt::regions {

class member_pages {
public:
  static member_pages of(const attachment& record) noexcept {
    return member_pages{reinterpret_cast<std::byte*>(record.slot) + slot_bytes - system_page()};
  }
  // With no slot in it yet; is_mapped() is false without memory.
  static member_pages map() noexcept;

  [[nodiscard]] bool is_mapped() const noexcept { return base_ != nullptr; }
  void unmap() const noexcept;

  // Maps the end of a slot a second time. False: errno has the reason.
  [[nodiscard]] bool show_slot(const open_region& region, std::uint32_t number) const noexcept;

  [[nodiscard]] member_slot* slot() const noexcept {
    return reinterpret_cast<member_slot*>(private_page() - slot_bytes);
  }
  [[nodiscard]] robust_list* node() const noexcept {
    auto* links = reinterpret_cast<private_links*>(private_page());
    return reinterpret_cast<robust_list*>(&links->words[base::has_back_links ? 1 : 0]);
  }
  [[nodiscard]] attachment* record() const noexcept {
    return reinterpret_cast<attachment*>(private_page() + 64);
  }

private:
  // The private page's first bytes.
  struct private_links {
    void* words[2];
  };

  explicit member_pages(std::byte* base) noexcept : base_{base} {}
  static std::size_t system_page() noexcept {
    return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  }
  [[nodiscard]] std::byte* private_page() const noexcept { return base_ + system_page(); }

  std::byte* base_;
};
static_assert(sizeof(attachment) <= least_page_bytes - 64);

// Spare pages. A thread that takes the slot of a former member of this process gets that member's
// pages, too: to map and unmap two pages is most of what an attach and a detach cost. A child of
// fork knows of no spare pages, and the private ones stay mapped there, without memory. Call these
// with the process lock held.

// nullptr if there are none of this slot.
attachment* take_spare_pages(process_state& process, const base::file_identity& file,
                             std::uint32_t slot_number) noexcept;
// Returns false if there are enough.
bool keep_spare_pages(process_state& process, attachment& former) noexcept;
// Those of this file's former members.
void unmap_spare_pages(process_state& process, const base::file_identity& file) noexcept;

} // namespace deadbolt::regions
#endif
