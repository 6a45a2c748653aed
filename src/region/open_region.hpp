// SPDX-License-Identifier: MIT
// A region that this process has mapped.
#ifndef DEADBOLT_REGION_OPEN_REGION_HPP
#define DEADBOLT_REGION_OPEN_REGION_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deadbolt/region.hpp>
#include <region/format.hpp>

// Geometry as it was read and checked at open; shared memory is not asked again.
struct deadbolt::detail::open_region {
  std::atomic<std::byte*> base; // nullptr: this entry is unused
  std::size_t length;
  int descriptor = -1;
  std::uint32_t members;
  std::uint64_t slots_offset;
  std::uint64_t data_offset;
  std::uint64_t data_bytes;
  std::uint64_t device;
  std::uint64_t inode;
  std::uint32_t references;

  [[nodiscard]] bool contains(const void* address) const noexcept {
    const std::byte* begin = base.load(std::memory_order_acquire);
    return begin != nullptr &&
           reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(begin) <
               length;
  }
  [[nodiscard]] regions::region_header* header() const noexcept {
    return reinterpret_cast<regions::region_header*>(base.load(std::memory_order_relaxed));
  }
  // `slot` has been checked against `members`.
  [[nodiscard]] regions::member_slot* slot(std::uint32_t slot) const noexcept {
    return reinterpret_cast<regions::member_slot*>(base.load(std::memory_order_relaxed) +
                                                   slots_offset) +
           slot;
  }
  // Slots below this have been taken at least once.
  [[nodiscard]] std::uint32_t slots_used() const noexcept {
    // order: sequentially consistent, for a shared_mutex: its writer took the writer word before.
    const std::uint32_t used = header()->slots_used.load(std::memory_order_seq_cst);
    return used < members ? used : members;
  }
  [[nodiscard]] std::byte* data() const noexcept {
    return base.load(std::memory_order_relaxed) + data_offset;
  }
};

namespace deadbolt::regions {

using detail::open_region;

// All of this process's regions. Entries come and go under the process lock;
// looking one up takes none.
extern constinit open_region process_regions[region::most_open];

// Stands for a region that is unmapped while threads are still its members.
extern constinit open_region closed_region;

// The open region that holds this address, or nullptr.
open_region* region_at(const void* address) noexcept;

} // namespace deadbolt::regions
namespace deadbolt::inline DEADBOLT_ABI {

// What the library itself may do with a handle.
struct region_access {
  static region make(detail::open_region* mapping, region_status status, int error) noexcept {
    return {mapping, status, error};
  }
  static void* begin_construct(region& in, const char* name, std::size_t size,
                               std::size_t alignment, detail::object_kind kind,
                               bool& fresh) noexcept {
    return in.begin_construct(name, size, alignment, kind, fresh);
  }
  static void end_construct(region& in, const char* name, bool made) noexcept {
    in.end_construct(name, made);
  }
};

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
