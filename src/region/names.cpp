// SPDX-License-Identifier: MIT
// Named objects. A mutex of the region's own protects the directory: a thread that dies in a
// construction leaves an entry that is under construction, and the next caller constructs the
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

[[gnu::tls_model("initial-exec")]] constinit thread_local construct_status last_status =
    construct_status::found;

// Repairs nothing after an owner's death: an entry's state is written last.
construct_status enter(mutex& lock) noexcept {
  switch (lock.lock().status()) {
  case lock_status::owner_died:
    lock.mark_consistent();
    return construct_status::found;
  case lock_status::acquired:
    return construct_status::found;
  case lock_status::deadlock:
    return construct_status::being_constructed;
  case lock_status::cannot_attach:
    return construct_status::cannot_attach;
  default:
    return construct_status::damaged;
  }
}

named_object* find(regions::region_header& header, const char* name) noexcept {
  for (named_object& object : header.objects) {
    if (object.state != 0 && strncmp(object.name, name, sizeof object.name) == 0) return &object;
  }
  return nullptr;
}

construct_status add(detail::open_region& region, const char* name, std::size_t size,
                     std::size_t alignment, detail::object_kind kind,
                     named_object*& added) noexcept {
  regions::region_header& header = *region.header();
  const std::uint64_t used = header.data_used;
  if (used > region.data_bytes) return construct_status::damaged;
  const std::uint64_t offset = (used + alignment - 1) / alignment * alignment;
  if (offset > region.data_bytes || size > region.data_bytes - offset) {
    return construct_status::no_room;
  }
  for (named_object& object : header.objects) {
    if (object.state != 0) continue;
    memset(object.name, 0, sizeof object.name);
    memcpy(object.name, name, strlen(name));
    object.offset = offset;
    object.size = size;
    object.kind = static_cast<std::uint32_t>(kind);
    // death order: room first, then the entry that names it; a death in between loses
    // the room, never gives it twice.
    __atomic_store_n(&header.data_used, offset + size, __ATOMIC_RELEASE);
    __atomic_store_n(&object.state, under_construction, __ATOMIC_RELEASE);
    added = &object;
    return construct_status::constructed;
  }
  return construct_status::too_many_names;
}

// Where the entry's object is, if it is an object of this size and kind within the data.
construct_status place_of(const detail::open_region& region, const named_object& object,
                          std::size_t size, std::size_t alignment, detail::object_kind kind,
                          void*& place) noexcept {
  const std::uint64_t offset = __atomic_load_n(&object.offset, __ATOMIC_RELAXED);
  if (object.size != size || object.kind != static_cast<std::uint32_t>(kind)) {
    return construct_status::other_kind;
  }
  if (offset % alignment != 0 || offset > region.data_bytes || size > region.data_bytes - offset) {
    return construct_status::damaged;
  }
  place = region.data() + offset;
  return object.state == complete ? construct_status::found : construct_status::constructed;
}

} // namespace

void* region::begin_construct(const char* name, std::size_t size, std::size_t alignment,
                              detail::object_kind kind, bool& fresh) noexcept {
  fresh = false;
  if (mapping_ == nullptr) {
    last_status = construct_status::not_open;
    return nullptr;
  }
  if (*name == 0 || strlen(name) >= sizeof named_object::name || alignment == 0 ||
      (alignment & (alignment - 1)) != 0 || alignment > regions::least_page_bytes) {
    last_status = construct_status::invalid_name;
    return nullptr;
  }
  mutex& lock = directory_lock(*mapping_);
  last_status = enter(lock);
  if (last_status != construct_status::found) return nullptr;
  void* place = nullptr;
  named_object* object = find(*mapping_->header(), name);
  if (object == nullptr) last_status = add(*mapping_, name, size, alignment, kind, object);
  if (object != nullptr) last_status = place_of(*mapping_, *object, size, alignment, kind, place);
  fresh = last_status == construct_status::constructed && place != nullptr;
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
    // order: release; a thread that finds the state complete finds the object complete.
    if (object != nullptr) __atomic_store_n(&object->state, complete, __ATOMIC_RELEASE);
  }
  static_cast<void>(directory_lock(*mapping_).unlock());
}

construct_status DEADBOLT_ABI::last_construct_status() noexcept {
  return last_status;
}

const char* DEADBOLT_ABI::to_string(construct_status status) noexcept {
  switch (status) {
  case construct_status::found:
    return "found";
  case construct_status::constructed:
    return "constructed";
  case construct_status::not_open:
    return "not_open";
  case construct_status::invalid_name:
    return "invalid_name";
  case construct_status::other_kind:
    return "other_kind";
  case construct_status::no_room:
    return "no_room";
  case construct_status::too_many_names:
    return "too_many_names";
  case construct_status::being_constructed:
    return "being_constructed";
  case construct_status::cannot_attach:
    return "cannot_attach";
  case construct_status::damaged:
    return "damaged";
  }
  return "unknown";
}

} // namespace deadbolt
