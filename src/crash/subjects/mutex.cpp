// SPDX-License-Identifier: MIT
#include "crash/subjects/mutex.hpp"

#include <deadbolt/mutex.hpp>
#include <memory>
#include <new>

namespace deadbolt::crash {
namespace {

mutex& mutex_at(void* lock) noexcept {
  return *static_cast<mutex*>(lock);
}

} // namespace

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

bool mutex_subject::held_by(const void* lock, pid_t tid) const {
  return owns_word(static_cast<const mutex*>(lock)->native_handle(), tid);
}

} // namespace deadbolt::crash
