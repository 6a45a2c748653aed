// SPDX-License-Identifier: MIT
// Named objects. A mutex of the region's own protects the directory. The bytes of an object belong
// to its entry: an entry that is not unused occupies them, and nothing else says what is free. So
// one store of `state` makes an object or ends it, and a death at any other instruction loses
// nothing. What a dead maker or destroyer leaves is under construction: find_or_construct() makes
// it anew, of whatever type, and destroy() frees it.
#include <base/signals.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>

#include <errno.h>
#include <region/bias.hpp>
#include <region/directory_lock.hpp>
#include <region/open_region.hpp>
#include <region/slots.hpp>
#include <string.h>

namespace deadbolt {

namespace regions {
namespace {

mutex& mutex_of(open_region& region) noexcept {
  return *reinterpret_cast<mutex*>(&region.header()->directory_lock[0]);
}

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

} // namespace

directory_lock::directory_lock(open_region& region) noexcept
    : region_{region}, status_{enter(mutex_of(region))} {}

void directory_lock::release(open_region& region) noexcept {
  static_cast<void>(mutex_of(region).unlock());
}

} // namespace regions

namespace {

using regions::named_object;
using regions::object_state;

[[gnu::tls_model("initial-exec")]] constinit thread_local construct_status last_status =
    construct_status::found;

object_state state_of(const named_object& object) noexcept {
  return regions::state_of(__atomic_load_n(&object.state, __ATOMIC_RELAXED));
}

// order: release; a thread that finds the state finds what was stored before it.
void set_state(named_object& object, object_state state, std::uint32_t reuses = 0) noexcept {
  const std::uint32_t counted = object.state & ~regions::object_state_mask;
  __atomic_store_n(&object.state, (counted + reuses) | static_cast<std::uint32_t>(state),
                   __ATOMIC_RELEASE);
  // death order: what the caller does to the object next stays behind.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

bool is_name(const char* name) noexcept {
  return *name != 0 && strlen(name) < sizeof named_object::name;
}

// ---- with the directory locked ----

named_object* find_named(detail::open_region& region, const char* name) noexcept {
  const std::uint32_t used = region.names_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    named_object& object = region.object(number);
    if (state_of(object) != object_state::unused &&
        strncmp(object.name, name, sizeof object.name) == 0) {
      return &object;
    }
  }
  return nullptr;
}

// The first bytes of the data that no object occupies. An entry that is not within the data is
// corrupted or hostile memory: it occupies nothing.
bool find_room(detail::open_region& region, std::size_t size, std::size_t alignment,
               std::uint64_t& offset) noexcept {
  const std::uint64_t end = region.data_bytes();
  const std::uint32_t used = region.names_used();
  if (size > end) return false;
  offset = 0;
  // Two rounds where the entries are in the order of their offsets; in any order, each round but
  // the last gets past the bytes of one more entry.
  for (std::uint32_t rounds = 0; rounds <= used + 1; ++rounds) {
    bool moved = false;
    for (std::uint32_t number = 0; number < used; ++number) {
      const named_object& object = region.object(number);
      if (state_of(object) == object_state::unused) continue;
      const std::uint64_t begin = __atomic_load_n(&object.offset, __ATOMIC_RELAXED);
      const std::uint64_t length = __atomic_load_n(&object.size, __ATOMIC_RELAXED);
      if (begin > end || length > end - begin || begin + length <= offset ||
          offset + size <= begin) {
        continue;
      }
      offset = (begin + length + alignment - 1) / alignment * alignment;
      if (offset > end || size > end - offset) return false;
      moved = true;
    }
    if (!moved) return true;
  }
  return false;
}

// An entry that is unused, with memory.
construct_status find_entry(detail::open_region& region, named_object*& entry) noexcept {
  const std::uint32_t used = region.names_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    entry = &region.object(number);
    if (state_of(*entry) == object_state::unused) return construct_status::constructed;
  }
  if (used == regions::named_objects) return construct_status::too_many_names;
  const std::uint64_t offset = region.object_offset(used);
  if (used >= regions::named_objects_in_header) {
    const int error =
        regions::back_with_memory(region, offset & ~(std::uint64_t{regions::slot_bytes} - 1),
                                  offset + offsetof(named_object, kind));
    if (error != 0) {
      errno = error;
      return construct_status::system_error;
    }
  }
  // death order: memory first, then the number that makes other threads look at the entry.
  regions::raise(region.header()->names_used, used + 1);
  entry = &region.object(used);
  return construct_status::constructed;
}

construct_status add(detail::open_region& region, const char* name, std::size_t size,
                     std::size_t alignment, detail::object_kind kind, void*& place) noexcept {
  std::uint64_t offset = 0;
  if (!find_room(region, size, alignment, offset)) return construct_status::no_room;
  named_object* entry = nullptr;
  if (const construct_status status = find_entry(region, entry);
      status != construct_status::constructed) {
    return status;
  }
  // order: release, each, pairs with the loads in read_entry(): a reader that sees one of these
  // stores sees `unused`, too.
  char padded[sizeof entry->name]{};
  memcpy(padded, name, strlen(name));
  for (std::size_t i = 0; i < sizeof padded; ++i) {
    __atomic_store_n(&entry->name[i], padded[i], __ATOMIC_RELEASE);
  }
  __atomic_store_n(&entry->offset, offset, __ATOMIC_RELEASE);
  __atomic_store_n(&entry->size, std::uint64_t{size}, __ATOMIC_RELEASE);
  __atomic_store_n(&entry->kind, static_cast<std::uint32_t>(kind), __ATOMIC_RELEASE);
  // death order: before this one store nothing is taken, after it all is.
  set_state(*entry, object_state::under_construction, regions::object_reuse);
  place = region.data() + offset;
  return construct_status::constructed;
}

// ---- with and without the lock ----

// What an entry was at one moment.
struct entry_copy {
  object_state state;
  char name[sizeof named_object::name];
  std::uint64_t offset;
  std::uint64_t size;
  detail::object_kind kind;
};

// A quick look, before the entry is read as a whole. An object that is there during all of a search
// has its name during all of it; if another thread makes or destroys the object meanwhile, both
// answers are right.
bool has_name(const named_object& entry, const char* name) noexcept {
  for (std::size_t i = 0; i < sizeof entry.name; ++i) {
    const char seen = __atomic_load_n(&entry.name[i], __ATOMIC_RELAXED);
    if (seen != name[i]) return false;
    if (seen == 0) return true;
  }
  return false;
}

entry_copy read_entry(const named_object& entry) noexcept {
  // Reads again when another thread has changed the entry meanwhile. An entry that changes all the
  // time is corrupted or hostile memory: it is treated as unused.
  entry_copy copy{};
  for (int tries = 1000; tries > 0; --tries) {
    const std::uint32_t before = __atomic_load_n(&entry.state, __ATOMIC_ACQUIRE);
    copy.state = regions::state_of(before);
    if (copy.state == object_state::unused) return copy;
    // order: acquire, each, pairs with the stores in add(), and before the last look at `state`.
    for (std::size_t i = 0; i < sizeof copy.name; ++i) {
      copy.name[i] = __atomic_load_n(&entry.name[i], __ATOMIC_ACQUIRE);
    }
    copy.name[sizeof copy.name - 1] = 0;
    copy.offset = __atomic_load_n(&entry.offset, __ATOMIC_ACQUIRE);
    copy.size = __atomic_load_n(&entry.size, __ATOMIC_ACQUIRE);
    copy.kind = static_cast<detail::object_kind>(__atomic_load_n(&entry.kind, __ATOMIC_ACQUIRE));
    const std::uint32_t after = __atomic_load_n(&entry.state, __ATOMIC_RELAXED);
    if (after == before) return copy;
  }
  copy.state = object_state::unused;
  return copy;
}

bool is_within(detail::open_region& region, std::uint64_t offset, std::uint64_t size) noexcept {
  const std::uint64_t data = region.data_bytes();
  return offset <= data && size <= data - offset;
}

// Where a complete object is, if it has this size and kind, at least this alignment, and is within
// the data.
construct_status place_of(detail::open_region& region, const entry_copy& object, std::size_t size,
                          std::size_t alignment, detail::object_kind kind, void*& place) noexcept {
  if (object.size != size || object.kind != kind || alignment == 0 ||
      object.offset % alignment != 0) {
    return construct_status::other_kind;
  }
  if (!is_within(region, object.offset, size)) return construct_status::damaged;
  place = region.data() + object.offset;
  return construct_status::found;
}

// With the directory locked: what a dead maker or destroyer left is no object. Returns whether it
// was that, and is gone.
bool drop_unfinished(named_object& object) noexcept {
  if (state_of(object) == object_state::complete) return false;
  set_state(object, object_state::unused);
  return true;
}

destroy_status as_destroy_status(construct_status status) noexcept {
  switch (status) {
  case construct_status::being_constructed:
    return destroy_status::being_constructed;
  case construct_status::cannot_attach:
    return destroy_status::cannot_attach;
  case construct_status::other_kind:
    return destroy_status::other_kind;
  default:
    return destroy_status::damaged;
  }
}

// ---- locks that are in use ----

bool is_owned(const std::uint64_t& at) noexcept {
  const std::uint64_t word = __atomic_load_n(&at, __ATOMIC_ACQUIRE);
  return !regions::is_free(word) && !regions::is_not_recoverable(word);
}

bool is_read(const detail::open_region& region, const void* lock) noexcept {
  const auto name = static_cast<std::uint64_t>(static_cast<const std::byte*>(lock) -
                                               region.base.load(std::memory_order_relaxed));
  const std::uint32_t used = region.slots_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    regions::member_slot& slot = *region.slot(number);
    std::uint64_t seen = 0;
    if (regions::find_hold(slot, name, seen) == nullptr) continue;
    const std::atomic<std::uint32_t>* life =
        regions::liveness_word(&slot, slot.kind.load(std::memory_order_acquire));
    if (life != nullptr && regions::is_alive(life->load(std::memory_order_acquire))) return true;
  }
  return false;
}

// Whether the object is a lock of this library that is held, or whose owner died and has no next
// owner yet, or a condition variable on which a thread may be asleep. An object of another kind is
// never in use.
bool is_in_use(const detail::open_region& region, const void* object, std::size_t size,
               detail::object_kind kind) noexcept {
  if (size < (kind == detail::object_kind::condition_variable ? 4 : 8)) return false;
  const auto* words = static_cast<const std::uint64_t*>(object);
  switch (kind) {
  case detail::object_kind::mutex: {
    const std::uint64_t word = __atomic_load_n(words, __ATOMIC_ACQUIRE);
    // A member holds a mutex that is biased to it only while it announces the mutex.
    return regions::is_biased(word) ? regions::holds_by_bias(region, words, word)
                                    : is_owned(words[0]);
  }
  case detail::object_kind::shared_mutex:
    return is_owned(words[0]) || is_read(region, object);
  case detail::object_kind::condition_variable:
    return (__atomic_load_n(static_cast<const std::uint32_t*>(object), __ATOMIC_ACQUIRE) & 1) != 0;
  case detail::object_kind::counting_semaphore:
    for (std::size_t i = 0; i < size / sizeof *words; ++i) {
      if (is_owned(words[i])) return true;
    }
    return false;
  case detail::object_kind::other:
    break;
  }
  return false;
}

} // namespace

void* region::begin_construct(const char* name, std::size_t size, std::size_t alignment,
                              detail::object_kind kind, bool& fresh) const noexcept {
  const base::cancellation_deferred deferred;
  fresh = false;
  if (mapping_ == nullptr) {
    last_status = construct_status::not_open;
    return nullptr;
  }
  if (!is_name(name) || alignment == 0 || (alignment & (alignment - 1)) != 0 ||
      alignment > regions::least_page_bytes) {
    last_status = construct_status::invalid_name;
    return nullptr;
  }
  regions::directory_lock lock{*mapping_};
  last_status = lock.status();
  if (last_status != construct_status::found) return nullptr;
  void* place = nullptr;
  named_object* object = find_named(*mapping_, name);
  if (object != nullptr && !drop_unfinished(*object)) {
    last_status = place_of(*mapping_, read_entry(*object), size, alignment, kind, place);
    return place;
  }
  last_status = add(*mapping_, name, size, alignment, kind, place);
  if (place == nullptr) return nullptr;
  fresh = true;
  lock.keep();
  memset(place, 0, size);
  return place;
}

void region::end_construct(const char* name, bool made) const noexcept {
  if (made) {
    named_object* object = find_named(*mapping_, name);
    if (object != nullptr) set_state(*object, object_state::complete);
  }
  regions::directory_lock::release(*mapping_);
}

void* region::look_up(const char* name, std::size_t size, std::size_t alignment,
                      detail::object_kind kind) const noexcept {
  last_status = construct_status::not_found;
  if (mapping_ == nullptr) {
    last_status = construct_status::not_open;
    return nullptr;
  }
  if (!is_name(name)) {
    last_status = construct_status::invalid_name;
    return nullptr;
  }
  const std::uint32_t used = mapping_->names_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    if (!has_name(mapping_->object(number), name)) continue;
    const entry_copy copy = read_entry(mapping_->object(number));
    if (copy.state != object_state::complete || strcmp(copy.name, name) != 0) continue;
    void* place = nullptr;
    last_status = place_of(*mapping_, copy, size, alignment, kind, place);
    return place;
  }
  return nullptr;
}

bool region::next_object(std::uint32_t& position, object_info& info) const noexcept {
  if (mapping_ == nullptr) return false;
  const std::uint32_t used = mapping_->names_used();
  while (position < used) {
    const entry_copy copy = read_entry(mapping_->object(position++));
    if (copy.state != object_state::complete || !is_within(*mapping_, copy.offset, copy.size)) {
      continue;
    }
    memcpy(info.name, copy.name, sizeof info.name);
    info.offset = static_cast<std::size_t>(copy.offset);
    info.size = static_cast<std::size_t>(copy.size);
    info.kind = copy.kind;
    return true;
  }
  return false;
}

void* region::begin_destroy(const char* name, std::size_t size, std::size_t alignment,
                            detail::object_kind kind, destroy_status& status) const noexcept {
  if (mapping_ == nullptr) {
    status = destroy_status::not_open;
    return nullptr;
  }
  regions::directory_lock lock{*mapping_};
  if (lock.status() != construct_status::found) {
    status = as_destroy_status(lock.status());
    return nullptr;
  }
  named_object* object = find_named(*mapping_, name);
  if (object == nullptr) {
    status = destroy_status::not_found;
    return nullptr;
  }
  if (drop_unfinished(*object)) { // no destructor runs
    status = destroy_status::destroyed;
    return nullptr;
  }
  void* place = nullptr;
  const construct_status found =
      place_of(*mapping_, read_entry(*object), size, alignment, kind, place);
  if (found != construct_status::found) {
    status = as_destroy_status(found);
    return nullptr;
  }
  if (is_in_use(*mapping_, place, size, kind)) {
    status = destroy_status::in_use;
    return nullptr;
  }
  // death order: from here on it is no object: the destructor may have begun.
  set_state(*object, object_state::under_construction);
  lock.keep();
  status = destroy_status::destroyed;
  return place;
}

void region::end_destroy(const char* name) const noexcept {
  named_object* object = find_named(*mapping_, name);
  if (object != nullptr) set_state(*object, object_state::unused);
  regions::directory_lock::release(*mapping_);
}

void region::set_status(construct_status status) noexcept {
  last_status = status;
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
  case construct_status::not_found:
    return "not_found";
  case construct_status::system_error:
    return "system_error";
  case construct_status::other_policy:
    return "other_policy";
  case construct_status::invalid_policy:
    return "invalid_policy";
  }
  return "unknown";
}

const char* DEADBOLT_ABI::to_string(destroy_status status) noexcept {
  switch (status) {
  case destroy_status::destroyed:
    return "destroyed";
  case destroy_status::not_open:
    return "not_open";
  case destroy_status::not_found:
    return "not_found";
  case destroy_status::other_kind:
    return "other_kind";
  case destroy_status::in_use:
    return "in_use";
  case destroy_status::being_constructed:
    return "being_constructed";
  case destroy_status::cannot_attach:
    return "cannot_attach";
  case destroy_status::damaged:
    return "damaged";
  }
  return "unknown";
}

} // namespace deadbolt
