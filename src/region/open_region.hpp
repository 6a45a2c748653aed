// SPDX-License-Identifier: MIT
// A region that this process has mapped.
#ifndef DEADBOLT_REGION_OPEN_REGION_HPP
#define DEADBOLT_REGION_OPEN_REGION_HPP

#include <atomic>
#include <base/file.hpp>
#include <cstddef>
#include <cstdint>
#include <deadbolt/region.hpp>
#include <deadbolt/stop_flag.hpp>
#include <region/format.hpp>

namespace deadbolt::regions {

// A region's file, and a descriptor of it if the process still has one: the program may have
// closed it, and the number may name another file now. Whoever uses it asks base::names().
struct file_handle {
  int descriptor = -1;
  base::file_identity identity{};
};

} // namespace deadbolt::regions

// Geometry as it was read and checked at open; shared memory is not asked again.
struct deadbolt::detail::open_region {
  std::atomic<std::byte*> base; // nullptr: this entry is unused
  std::size_t length;           // of the mapping, to the end of what the data can grow to
  regions::file_handle file;
  bool read_only;
  std::uint32_t members;
  std::uint32_t page_bytes;
  std::uint64_t slots_offset;
  std::uint64_t directory_offset;
  std::uint64_t data_offset;
  std::uint64_t largest_data_bytes;
  // Bytes of data that the file has been seen to have: see data_bytes().
  std::atomic<std::uint64_t> seen_data_bytes;
  std::uint32_t references;
  // A description for the child of a fork that is under way, or -1.
  int spare_description = -1;
  // How long this process's waiters sleep at most, in nanoseconds; see waiting.hpp.
  std::atomic<std::int64_t> longest_sleep;
  // After about this many more attaches, the next attach searches for dead members' slots.
  std::atomic<std::uint32_t> attaches_until_search;

  [[nodiscard]] bool contains(const void* address) const noexcept {
    const std::byte* begin = base.load(std::memory_order_acquire);
    return begin != nullptr &&
           reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(begin) <
               length;
  }
  [[nodiscard]] regions::region_header* header() const noexcept {
    return reinterpret_cast<regions::region_header*>(base.load(std::memory_order_relaxed));
  }
  // From the start of the file to a slot's struct. `slot` has been checked against `members`.
  [[nodiscard]] std::uint64_t slot_offset(std::uint32_t slot) const noexcept {
    return slots_offset + (std::uint64_t{slot} + 1) * page_bytes - regions::slot_bytes;
  }
  [[nodiscard]] regions::member_slot* slot(std::uint32_t slot) const noexcept {
    return reinterpret_cast<regions::member_slot*>(base.load(std::memory_order_relaxed) +
                                                   slot_offset(slot));
  }
  // Slots below this have been taken at least once. The others may have no memory: they are
  // not even read.
  [[nodiscard]] std::uint32_t slots_used() const noexcept {
    // order: sequentially consistent, for a shared_mutex: its writer took the writer word before.
    const std::uint32_t used = header()->slots_used.load(std::memory_order_seq_cst);
    return used < members ? used : members;
  }
  [[nodiscard]] std::byte* data() const noexcept {
    return base.load(std::memory_order_relaxed) + data_offset;
  }
  // Bytes of data now. Any process may have made the data grow. A hostile one may write a larger
  // number into the header: it is believed only if the file is that long.
  [[nodiscard]] std::uint64_t data_bytes() noexcept;

  // From the start of the file to an entry of the directory of named objects.
  [[nodiscard]] std::uint64_t object_offset(std::uint32_t number) const noexcept {
    const std::uint32_t in_header = regions::named_objects_in_header;
    return number < in_header
               ? offsetof(regions::region_header, objects) + number * sizeof(regions::named_object)
               : directory_offset + (number - in_header) * sizeof(regions::named_object);
  }
  [[nodiscard]] regions::named_object& object(std::uint32_t number) const noexcept {
    return *reinterpret_cast<regions::named_object*>(base.load(std::memory_order_relaxed) +
                                                     object_offset(number));
  }
  // Entries below this have been used at least once. The others may have no memory.
  [[nodiscard]] std::uint32_t names_used() const noexcept {
    const std::uint32_t used = header()->names_used.load(std::memory_order_acquire);
    return used < regions::named_objects ? used : regions::named_objects;
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

// What the C interface may do with a lock.
struct wait_access {
  template <class Lock>
  static lock_status acquire(Lock& lock, const detail::wait_limits& limits) noexcept {
    return lock.acquire_within(limits);
  }
  template <class Lock>
  static lock_status acquire_shared(Lock& lock, const detail::wait_limits& limits) noexcept {
    return lock.acquire_shared_within(limits);
  }
};

// What the library itself may do with a handle.
struct region_access {
  static region make(detail::open_region* mapping, region_status status, int error) noexcept {
    return {mapping, status, error};
  }
  static void* begin_construct(const region& in, const char* name, std::size_t size,
                               std::size_t alignment, detail::object_kind kind,
                               bool& fresh) noexcept {
    return in.begin_construct(name, size, alignment, kind, fresh);
  }
  static void end_construct(const region& in, const char* name, bool made) noexcept {
    in.end_construct(name, made);
  }
  static void* look_up(const region& in, const char* name, std::size_t size, std::size_t alignment,
                       detail::object_kind kind) noexcept {
    return in.look_up(name, size, alignment, kind);
  }
  static destroy_status destroy(const region& in, const char* name, std::size_t size,
                                std::size_t alignment, detail::object_kind kind) noexcept {
    destroy_status status{};
    if (in.begin_destroy(name, size, alignment, kind, status) != nullptr) in.end_destroy(name);
    return status;
  }
};

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
