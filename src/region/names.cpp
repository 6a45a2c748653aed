// SPDX-License-Identifier: MIT
// Named objects. The directory is under a mutex of the region's own: who dies in it
// leaves an entry that is under construction, and the next who asks makes the
// object anew.
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>

#include <region/open_region.hpp>
#include <string.h>

namespace deadbolt {
namespace {

using regions::named_object;

constexpr auto under_construction =
    static_cast<std::uint32_t>(regions::object_state::under_construction);
constexpr auto complete = static_cast<std::uint32_t>(regions::object_state::complete);

mutex& directory_lock(detail::open_region& region) noexcept {
  return *reinterpret_cast<mutex*>(&region.header()->directory_lock[0]);
}

// An entry whose owner died is whole: its state is written last.
bool enter(mutex& lock) noexcept {
  switch (lock.lock().status()) {
  case lock_status::acquired:
    return true;
  case lock_status::owner_died:
    return lock.mark_consistent();
  default:
    return false;
  }
}

named_object* find(regions::region_header& header, const char* name) noexcept {
  for (named_object& object : header.objects) {
    if (object.state != 0 && strncmp(object.name, name, sizeof object.name) == 0) return &object;
  }
  return nullptr;
}

named_object* add(detail::open_region& region, const char* name, std::size_t size,
                  std::size_t alignment, detail::object_kind kind) noexcept {
  regions::region_header& header = *region.header();
  const std::uint64_t used = header.data_used;
  if (used > region.data_bytes) return nullptr; // a stranger wrote it
  const std::uint64_t offset = (used + alignment - 1) / alignment * alignment;
  if (offset > region.data_bytes || size > region.data_bytes - offset) return nullptr;
  for (named_object& object : header.objects) {
    if (object.state != 0) continue;
    memset(object.name, 0, sizeof object.name);
    memcpy(object.name, name, strlen(name));
    object.offset = offset;
    object.size = size;
    object.kind = static_cast<std::uint32_t>(kind);
    // death order: room first, then the entry that names it; dying in between loses
    // the room, never gives it twice.
    __atomic_store_n(&header.data_used, offset + size, __ATOMIC_RELEASE);
    __atomic_store_n(&object.state, under_construction, __ATOMIC_RELEASE);
    return &object;
  }
  return nullptr;
}

// Where the entry's object is, if it is an object of this size within the data.
void* place_of(const detail::open_region& region, const named_object& object, std::size_t size,
               std::size_t alignment) noexcept {
  const std::uint64_t offset = __atomic_load_n(&object.offset, __ATOMIC_RELAXED);
  if (object.size != size || offset % alignment != 0 || offset > region.data_bytes ||
      size > region.data_bytes - offset) {
    return nullptr;
  }
  return region.data() + offset;
}

} // namespace

void* region::begin_construct(const char* name, std::size_t size, std::size_t alignment,
                              detail::object_kind kind, bool& fresh) noexcept {
  if (mapping_ == nullptr || *name == 0 || strlen(name) >= sizeof named_object::name ||
      alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > regions::page_bytes) {
    return nullptr;
  }
  mutex& lock = directory_lock(*mapping_);
  if (!enter(lock)) return nullptr;
  named_object* object = find(*mapping_->header(), name);
  if (object == nullptr) object = add(*mapping_, name, size, alignment, kind);
  void* place = object == nullptr ? nullptr : place_of(*mapping_, *object, size, alignment);
  fresh = place != nullptr && object->state != complete;
  if (!fresh) {
    static_cast<void>(lock.unlock());
    return place;
  }
  memset(place, 0, size);
  return place;
}

void region::end_construct(const char* name, bool made) noexcept {
  if (made) {
    named_object* object = find(*mapping_->header(), name);
    // order: release; who finds it complete finds the object.
    if (object != nullptr) __atomic_store_n(&object->state, complete, __ATOMIC_RELEASE);
  }
  static_cast<void>(directory_lock(*mapping_).unlock());
}

} // namespace deadbolt
