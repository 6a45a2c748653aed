// SPDX-License-Identifier: MIT
// Handles, and the mappings behind them.
#include <deadbolt/region.hpp>

#include <base/signals.hpp>
#include <errno.h>
#include <region/file.hpp>
#include <region/membership.hpp>
#include <region/open_region.hpp>
#include <region/process.hpp>
#include <sys/mman.h>

namespace deadbolt {

namespace regions {

constinit open_region process_regions[region::most_open]{};
constinit open_region closed_region{};

open_region* region_at(const void* address) noexcept {
  for (open_region& candidate : process_regions) {
    if (candidate.contains(address)) return &candidate;
  }
  return nullptr;
}

namespace {

region refused(region_status status, int error = 0) noexcept {
  return region_access::make(nullptr, status, error);
}

// Takes the descriptor over. With the process lock held.
region map_file(base::file& file, const fixed_header& header) noexcept {
  open_region* unused = nullptr;
  for (open_region& entry : process_regions) {
    if (entry.base.load(std::memory_order_relaxed) == nullptr) {
      if (unused == nullptr) unused = &entry;
    } else if (entry.device == header.device && entry.inode == header.inode) {
      // One mapping a file: a thread must not be two members of one region.
      ++entry.references;
      return region_access::make(&entry, region_status::open, 0);
    }
  }
  if (unused == nullptr) return refused(region_status::too_many);
  if (header.total_bytes > SIZE_MAX) return refused(region_status::system_error, ENOMEM);
  const auto length = static_cast<std::size_t>(header.total_bytes);
  void* base = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (base == MAP_FAILED) return refused(region_status::system_error, errno);
  unused->length = length;
  unused->descriptor = file.release();
  unused->members = header.members;
  unused->slots_offset = header.slots_offset;
  unused->data_offset = header.data_offset;
  unused->data_bytes = header.data_bytes;
  unused->device = header.device;
  unused->inode = header.inode;
  unused->references = 1;
  // order: release; region_at() reads the rest only when it sees this.
  unused->base.store(static_cast<std::byte*>(base), std::memory_order_release);
  return region_access::make(unused, region_status::open, 0);
}

region map_file_locked(base::file& file, const fixed_header& header) noexcept {
  process_state* process = this_process();
  if (process == nullptr) return refused(region_status::system_error, ENOMEM);
  base::signals_blocked blocked;
  process_locked locked{*process};
  return map_file(file, header);
}

region finish(const file_outcome& made, const fixed_header& header) noexcept {
  if (made.status != region_status::open) return refused(made.status, made.error);
  base::file file{made.descriptor};
  return map_file_locked(file, header);
}

// Takes the descriptor over.
region open_file(int descriptor) noexcept {
  base::file file{descriptor};
  fixed_header header;
  int error = 0;
  const region_status status = judge_file(file.get(), header, error);
  if (status != region_status::open) return refused(status, error);
  return map_file_locked(file, header);
}

} // namespace
} // namespace regions

region region::create(const char* path, const region_options& options) noexcept {
  regions::fixed_header header;
  return regions::finish(regions::create_file(path, options, header), header);
}

region region::create_anonymous(const char* name, const region_options& options) noexcept {
  regions::fixed_header header;
  return regions::finish(regions::create_memfd(name, options, header), header);
}

region region::open(const char* path) noexcept {
  const int descriptor = base::open_file(path, O_RDWR | O_NOCTTY);
  if (descriptor == -ENOENT) return regions::refused(region_status::not_found);
  if (descriptor == -EISDIR) return regions::refused(region_status::not_a_region);
  if (descriptor < 0) return regions::refused(region_status::system_error, -descriptor);
  return regions::open_file(descriptor);
}

region region::open_or_create(const char* path, const region_options& options) noexcept {
  // Another may create or remove the file in between; but not for ever.
  for (int left = 1000;; --left) {
    region opened = open(path);
    if (opened.status() != region_status::not_found || left == 0) return opened;
    region made = create(path, options);
    if (made.status() != region_status::exists) return made;
  }
}

region region::open_descriptor(int descriptor) noexcept {
  if (descriptor < 0) return regions::refused(region_status::system_error, EBADF);
  // A description of our own, whatever the caller's may do and however it was opened.
  const int own = base::open_file(base::descriptor_path{descriptor}.get(), O_RDWR | O_NOCTTY);
  if (own < 0) return regions::refused(region_status::system_error, -own);
  return regions::open_file(own);
}

std::byte* region::data() const noexcept {
  return mapping_ == nullptr ? nullptr : mapping_->data();
}
std::size_t region::size() const noexcept {
  return mapping_ == nullptr ? 0 : static_cast<std::size_t>(mapping_->data_bytes);
}
std::uint32_t region::members() const noexcept {
  return mapping_ == nullptr ? 0 : mapping_->members;
}
int region::descriptor() const noexcept {
  return mapping_ == nullptr ? -1 : mapping_->descriptor;
}

attach_status region::attach() noexcept {
  if (mapping_ == nullptr) return attach_status::not_open;
  return regions::attach_thread(*mapping_);
}

bool region::detach() noexcept {
  return mapping_ != nullptr && regions::detach_thread(*mapping_);
}

bool region::close() noexcept {
  if (mapping_ == nullptr) return true;
  detail::open_region& closing = *std::exchange(mapping_, nullptr);
  status_ = region_status::closed;
  regions::process_state* process = regions::this_process();
  if (process == nullptr) return true;
  base::signals_blocked blocked;
  regions::process_locked locked{*process};
  if (--closing.references != 0) return true;
  regions::detach_locked(*process, closing);
  const bool unmap = regions::await_unlocks(*process, closing);
  // Other threads stay members until they exit, on pages of their own; for them the
  // region's addresses are none of its any more.
  for (regions::attachment* other = process->attachments; other != nullptr;
       other = other->next_of_process) {
    if (other->region != &closing) continue;
    other->end_region();
  }
  std::byte* base = closing.base.load(std::memory_order_relaxed);
  closing.base.store(nullptr, std::memory_order_release);
  if (unmap) munmap(base, closing.length);
  base::close_file(closing.descriptor);
  closing.descriptor = -1;
  return unmap;
}

const char* DEADBOLT_ABI::to_string(region_status status) noexcept {
  switch (status) {
  case region_status::open:
    return "open";
  case region_status::closed:
    return "closed";
  case region_status::exists:
    return "exists";
  case region_status::not_found:
    return "not_found";
  case region_status::not_a_region:
    return "not_a_region";
  case region_status::unknown_version:
    return "unknown_version";
  case region_status::damaged:
    return "damaged";
  case region_status::truncated:
    return "truncated";
  case region_status::former_boot:
    return "former_boot";
  case region_status::copied:
    return "copied";
  case region_status::network_filesystem:
    return "network_filesystem";
  case region_status::too_many:
    return "too_many";
  case region_status::invalid_options:
    return "invalid_options";
  case region_status::system_error:
    return "system_error";
  }
  return "unknown";
}

} // namespace deadbolt
