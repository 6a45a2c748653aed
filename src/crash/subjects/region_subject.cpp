// SPDX-License-Identifier: MIT
#include "crash/subjects/region_subject.hpp"

#include "region/open_region.hpp"

#include <deadbolt/region.hpp>
#include <map>

namespace deadbolt::crash {
namespace {

std::map<void*, region>& regions_in_use() {
  static std::map<void*, region> all;
  return all;
}

} // namespace

// A region for each block of memory; its forked users open nothing themselves.
void* region_subject::map_memory(std::size_t length) const {
  region made = region::create_anonymous("deadbolt-crash", {.size = length, .members = 32});
  void* const memory = made.data();
  if (memory != nullptr) regions_in_use().emplace(memory, std::move(made));
  return memory;
}

void region_subject::unmap_memory(void* memory, std::size_t /*length*/) const {
  regions_in_use().erase(memory);
}

// The word names a slot; the slot says whose it is.
bool owns_word(const std::uint64_t* at, pid_t tid) {
  const std::uint64_t word = __atomic_load_n(at, __ATOMIC_RELAXED);
  const detail::open_region* const in = regions::region_at(at);
  if (in == nullptr || regions::is_free(word) || regions::slot_of(word) >= in->members)
    return false;
  const regions::member_slot* const slot = in->slot(regions::slot_of(word));
  return slot->generation == regions::generation_of(word) &&
         slot->tid == static_cast<std::uint32_t>(tid);
}

} // namespace deadbolt::crash
