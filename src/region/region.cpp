// SPDX-License-Identifier: MIT
// Handles on open regions. How they are opened is in opening.cpp.
#include <deadbolt/region.hpp>

#include <base/signals.hpp>
#include <errno.h>
#include <region/member_pages.hpp>
#include <region/membership.hpp>
#include <region/open_region.hpp>
#include <region/process.hpp>
#include <region/region_file.hpp>
#include <sys/mman.h>
#include <utility>

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

} // namespace regions

int region::new_descriptor() const noexcept {
  const int own = descriptor();
  if (mapping_ == nullptr || !base::names(own, mapping_->file.identity)) return -EBADF;
  return base::open_file(base::descriptor_path{own}.get(), O_RDWR | O_NOCTTY);
}

bool region::is_at(const char* path) const noexcept {
  return mapping_ != nullptr && regions::leads_to(path, mapping_->file.identity);
}

std::byte* region::data() const noexcept {
  return mapping_ == nullptr ? nullptr : mapping_->data();
}
std::size_t region::size() const noexcept {
  return mapping_ == nullptr ? 0 : static_cast<std::size_t>(mapping_->data_bytes());
}
std::uint32_t region::members() const noexcept {
  return mapping_ == nullptr ? 0 : mapping_->members;
}
int region::descriptor() const noexcept {
  // An open in another thread replaces a lost one.
  return mapping_ == nullptr ? -1 : __atomic_load_n(&mapping_->file.descriptor, __ATOMIC_RELAXED);
}

std::chrono::nanoseconds region::longest_sleep() const noexcept {
  return std::chrono::nanoseconds{
      mapping_ == nullptr ? 0 : mapping_->longest_sleep.load(std::memory_order_relaxed)};
}
bool region::set_longest_sleep(std::chrono::nanoseconds time) noexcept {
  using namespace std::chrono_literals;
  if (mapping_ == nullptr || time < 1ms || time > 1h) return false;
  mapping_->longest_sleep.store(time.count(), std::memory_order_relaxed);
  return true;
}

attach_status region::attach() const noexcept {
  if (mapping_ == nullptr) return attach_status::not_open;
  const int before = errno;
  int error = 0;
  const attach_status status = regions::attach_thread(*mapping_, error);
  errno = error != 0 ? error : before;
  return status;
}

bool region::detach() const noexcept {
  return mapping_ != nullptr && regions::detach_thread(*mapping_);
}

bool region::close() noexcept {
  if (mapping_ == nullptr) return true;
  detail::open_region& closing = *std::exchange(mapping_, nullptr);
  status_ = region_status::closed;
  regions::process_state* process = regions::this_process();
  if (process == nullptr) return true;
  base::signals_blocked blocked;
  {
    regions::process_locked locked{*process};
    if (closing.references != 1) {
      --closing.references;
      return true;
    }
  }
  regions::detach_thread(closing);
  regions::process_locked locked{*process};
  // Another thread may have opened the file meanwhile.
  if (--closing.references != 0) return true;
  const bool unmap = regions::await_unlocks(*process, closing);
  // Other threads stay members until they exit, or attach to the region anew, on pages of their
  // own; the region's addresses mean nothing to them any more.
  for (regions::attachment* other = process->attachments; other != nullptr;
       other = other->next_of_process) {
    if (other->region != &closing) continue;
    other->end_region();
  }
  regions::unmap_spare_pages(*process, closing.file.identity);
  std::byte* base = closing.base.load(std::memory_order_relaxed);
  closing.base.store(nullptr, std::memory_order_release);
  if (unmap) munmap(base, closing.length);
  // The program may have closed the descriptor, and its number may be another file's now.
  if (base::names(closing.file.descriptor, closing.file.identity)) {
    base::close_file(closing.file.descriptor);
  }
  closing.file.descriptor = -1;
  regions::drop_unused_membership_locks(*process);
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
  case region_status::in_use:
    return "in_use";
  case region_status::untrusted_owner:
    return "untrusted_owner";
  case region_status::wrong_page_size:
    return "wrong_page_size";
  }
  return "unknown";
}

} // namespace deadbolt
