// SPDX-License-Identifier: MIT
// A region's data grows in place. Every process maps the file to where its data may grow, so that
// no address changes: behind the file's end there is no memory yet. A grower makes the file longer,
// with memory, and then says so in the header. One that is killed in between leaves a longer file,
// which does no harm and is what the next grower needs.
#include <deadbolt/region.hpp>

#include <base/file.hpp>
#include <base/signals.hpp>
#include <errno.h>
#include <region/directory_lock.hpp>
#include <region/membership.hpp>
#include <region/open_region.hpp>
#include <region/region_file.hpp>
#include <region/slots.hpp>
#include <sys/mman.h>
#include <unistd.h>

namespace deadbolt {
namespace {

// Whether the file has so many bytes of data.
bool has_data(const detail::open_region& region, std::uint64_t bytes) noexcept {
  const int descriptor = __atomic_load_n(&region.file.descriptor, __ATOMIC_RELAXED);
  if (base::names(descriptor, region.file.identity)) {
    return regions::length_of(descriptor) >= region.data_offset + bytes;
  }
  // Without a descriptor: Linux 5.14 refuses to read a page in that would raise SIGBUS.
  constexpr int populate_read = 22;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t last = reinterpret_cast<std::uintptr_t>(region.data()) + bytes - 1;
  return arch::raw_syscall(SYS_madvise, last & ~(page - 1), page, populate_read) == 0;
}

} // namespace

std::uint64_t detail::open_region::data_bytes() noexcept {
  const std::uint64_t seen = seen_data_bytes.load(std::memory_order_relaxed);
  // order: acquire, pairs with the release in raise().
  const std::uint64_t said = header()->data_bytes.load(std::memory_order_acquire);
  if (said <= seen || said > largest_data_bytes || !has_data(*this, said)) return seen;
  regions::raise(seen_data_bytes, said);
  return said;
}

grow_status region::grow(std::size_t size) const noexcept {
  if (mapping_ == nullptr) return grow_status::not_open;
  detail::open_region& mapping = *mapping_;
  if (size > mapping.largest_data_bytes) return grow_status::too_large;
  if (size <= mapping.data_bytes()) return grow_status::grown;
  const base::cancellation_deferred deferred;
  const int before = errno;
  regions::directory_lock lock{mapping};
  switch (lock.status()) {
  case construct_status::found:
    break;
  case construct_status::being_constructed:
    return grow_status::being_constructed;
  case construct_status::cannot_attach:
    return grow_status::cannot_attach;
  default:
    return grow_status::damaged;
  }
  const std::uint64_t old_size = mapping.data_bytes();
  if (size <= old_size) return grow_status::grown;
  const int descriptor = mapping.file.descriptor;
  if (!base::names(descriptor, mapping.file.identity)) return grow_status::descriptor_lost;
  const auto whole = [&](std::uint64_t bytes) {
    return (bytes + mapping.page_bytes - 1) / mapping.page_bytes * mapping.page_bytes;
  };
  const std::uint64_t begin = mapping.data_offset + whole(old_size);
  const std::uint64_t end = mapping.data_offset + whole(size);
  long error = 0;
  if (end > begin) {
    // See fill() in region_file.cpp.
    base::signals_blocked blocked;
    error = base::allocate(descriptor, begin, end - begin);
    if (error == -EOPNOTSUPP) {
      error =
          -posix_fallocate(descriptor, static_cast<off_t>(begin), static_cast<off_t>(end - begin));
    }
    // On a disk the length must not be younger than the header that tells of it. Elsewhere this
    // does nothing.
    if (error == 0) arch::raw_syscall(SYS_fdatasync, descriptor);
  }
  if (error != 0) {
    errno = static_cast<int>(-error);
    return grow_status::system_error;
  }
  errno = before;
  // death order: the file is as long as what the header says from here on.
  regions::raise(mapping.header()->data_bytes, std::uint64_t{size});
  return mapping.data_bytes() >= size ? grow_status::grown : grow_status::damaged;
}

std::size_t region::largest_size() const noexcept {
  return mapping_ == nullptr ? 0 : static_cast<std::size_t>(mapping_->largest_data_bytes);
}

const char* DEADBOLT_ABI::to_string(grow_status status) noexcept {
  switch (status) {
  case grow_status::grown:
    return "grown";
  case grow_status::not_open:
    return "not_open";
  case grow_status::too_large:
    return "too_large";
  case grow_status::being_constructed:
    return "being_constructed";
  case grow_status::cannot_attach:
    return "cannot_attach";
  case grow_status::descriptor_lost:
    return "descriptor_lost";
  case grow_status::damaged:
    return "damaged";
  case grow_status::system_error:
    return "system_error";
  }
  return "unknown";
}

} // namespace deadbolt
