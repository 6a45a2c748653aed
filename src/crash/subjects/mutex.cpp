// SPDX-License-Identifier: MIT
#include "crash/subjects/mutex.hpp"

#include "region/open_region.hpp"

#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <map>
#include <memory>
#include <new>

namespace deadbolt::crash {
namespace {

mutex& mutex_at(void* lock) noexcept {
  return *static_cast<mutex*>(lock);
}

std::map<void*, region>& regions_in_use() {
  static std::map<void*, region> all;
  return all;
}

} // namespace

// A region for each block of memory; its forked users open nothing themselves.
void* mutex_subject::map_memory(std::size_t length) const {
  region made = region::create_anonymous("deadbolt-crash", {.size = length, .members = 32});
  void* const memory = made.data();
  if (memory != nullptr) regions_in_use().emplace(memory, std::move(made));
  return memory;
}

void mutex_subject::unmap_memory(void* memory, std::size_t /*length*/) const {
  regions_in_use().erase(memory);
}

std::size_t mutex_subject::size() const {
  return sizeof(mutex);
}
void mutex_subject::create(void* lock) const {
  new (lock) mutex;
}
void mutex_subject::destroy(void* lock) const {
  std::destroy_at(&mutex_at(lock));
}

grant mutex_subject::lock(void* lock) const {
  return grant_of(mutex_at(lock).lock().status());
}

grant mutex_subject::try_lock(void* lock) const {
  return grant_of(mutex_at(lock).try_lock().status());
}

bool mutex_subject::unlock(void* lock) const {
  return mutex_at(lock).unlock() == unlock_status::released;
}

void mutex_subject::mark_consistent(void* lock) const {
  mutex_at(lock).mark_consistent();
}

// The word names a slot; the slot says whose it is.
bool mutex_subject::held_by(const void* lock, pid_t tid) const {
  const std::uint64_t word =
      __atomic_load_n(static_cast<const mutex*>(lock)->native_handle(), __ATOMIC_RELAXED);
  const detail::open_region* const in = regions::region_at(lock);
  if (in == nullptr || regions::is_free(word) || regions::slot_of(word) >= in->members)
    return false;
  const regions::member_slot* const slot = in->slot(regions::slot_of(word));
  return slot->generation == regions::generation_of(word) &&
         slot->tid == static_cast<std::uint32_t>(tid);
}

} // namespace deadbolt::crash
