// SPDX-License-Identifier: MIT
#include "crash/subjects/shared_mutex.hpp"

#include "region/open_region.hpp"

#include <deadbolt/shared_mutex.hpp>
#include <memory>
#include <new>

namespace deadbolt::crash {
namespace {

shared_mutex& at(void* lock) noexcept {
  return *static_cast<shared_mutex*>(lock);
}

grant lock_as(side side, void* lock) {
  return grant_of(side == side::writer ? at(lock).lock().status()
                                       : at(lock).lock_shared().status());
}

bool unlock_as(side side, void* lock) {
  return (side == side::writer ? at(lock).unlock() : at(lock).unlock_shared()) ==
         unlock_status::released;
}

// The writer word and, behind it, what its owner does.
struct words {
  std::uint64_t writer;
  std::uint32_t readers;
  std::uint32_t state;
};
static_assert(sizeof(words) == sizeof(shared_mutex));

} // namespace

std::string_view shared_mutex_subject::name() const {
  if (victim_ == side::reader) return "shared_mutex_reader";
  return others_ == side::reader ? "shared_mutex_readers" : "shared_mutex";
}

std::string_view shared_mutex_subject::summary() const {
  if (victim_ == side::reader)
    return "deadbolt::shared_mutex, in a region: a reader dies, the others write";
  return others_ == side::reader
             ? "deadbolt::shared_mutex, in a region: a writer dies, the others read"
             : "deadbolt::shared_mutex, in a region: a writer dies, the others write";
}

std::size_t shared_mutex_subject::size() const {
  return sizeof(shared_mutex);
}
void shared_mutex_subject::create(void* lock) const {
  new (lock) shared_mutex;
}
void shared_mutex_subject::destroy(void* lock) const {
  std::destroy_at(&at(lock));
}

grant shared_mutex_subject::lock(void* lock) const {
  return lock_as(others_, lock);
}
grant shared_mutex_subject::try_lock(void* lock) const {
  return grant_of(others_ == side::writer ? at(lock).try_lock().status()
                                          : at(lock).try_lock_shared().status());
}
bool shared_mutex_subject::unlock(void* lock) const {
  return unlock_as(others_, lock);
}
void shared_mutex_subject::mark_consistent(void* lock) const {
  at(lock).mark_consistent();
}
sharing shared_mutex_subject::shares() const {
  if (victim_ == side::reader) return sharing::victims_way;
  return others_ == side::reader ? sharing::others_way : sharing::neither;
}
grant shared_mutex_subject::victims_lock(void* lock) const {
  return lock_as(victim_, lock);
}
bool shared_mutex_subject::victims_unlock(void* lock) const {
  return unlock_as(victim_, lock);
}

void shared_mutex_subject::enter_thread(void* scratch) const {
  create(scratch);
  for (const side side : {side::writer, side::reader})
    if (held(lock_as(side, scratch))) unlock_as(side, scratch);
  destroy(scratch);
}

// A hold counts from its announcement, which may still be taken back.
bool shared_mutex_subject::held_by(const void* lock, pid_t tid) const {
  if (owns_word(static_cast<const shared_mutex*>(lock)->native_handle(), tid)) return true;
  const detail::open_region* const in = regions::region_at(lock);
  if (in == nullptr) return false;
  const auto name = static_cast<std::uint64_t>(static_cast<const std::byte*>(lock) -
                                               reinterpret_cast<std::byte*>(in->header()));
  for (std::uint32_t i = 0; i < in->members; ++i) {
    std::uint64_t seen = 0;
    if (in->slot(i)->tid == static_cast<std::uint32_t>(tid) &&
        regions::find_hold(*in->slot(i), name, seen) != nullptr)
      return true;
  }
  return false;
}

// Nobody but a writer that is inside, or died there, leaves anything to be told.
grant shared_mutex_subject::heir_is_told(const void* lock) const {
  const auto* const of = static_cast<const words*>(lock);
  return !regions::is_free(__atomic_load_n(&of->writer, __ATOMIC_ACQUIRE)) &&
                 __atomic_load_n(&of->state, __ATOMIC_ACQUIRE) != regions::state_outside
             ? grant::owner_died
             : grant::acquired;
}

} // namespace deadbolt::crash
