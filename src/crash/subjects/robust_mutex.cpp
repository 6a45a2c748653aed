// SPDX-License-Identifier: MIT
#include "crash/subjects/robust_mutex.hpp"

#include "crash/lock_word.hpp"
#include "robust/engine.hpp"

#include <deadbolt/robust_mutex.hpp>
#include <memory>
#include <new>

namespace deadbolt::crash {
namespace {

robust_mutex& mutex_at(void* lock) noexcept {
  return *static_cast<robust_mutex*>(lock);
}

grant grant_of(lock_status status) noexcept {
  switch (status) {
  case lock_status::acquired:
    return grant::acquired;
  case lock_status::owner_died:
    return grant::owner_died;
  case lock_status::not_recoverable:
    return grant::not_recoverable;
  case lock_status::busy:
    return grant::busy;
  case lock_status::timed_out:
  case lock_status::deadlock:
    break;
  }
  return grant::failed;
}

} // namespace

std::string_view robust_mutex_subject::engine() const {
  return robust::this_engine().name;
}

bool robust_mutex_subject::protected_by_itself() const {
  return robust::this_engine().protected_by_kernel;
}

std::size_t robust_mutex_subject::size() const {
  return sizeof(robust_mutex);
}
void robust_mutex_subject::create(void* lock) const {
  new (lock) robust_mutex;
}
void robust_mutex_subject::destroy(void* lock) const {
  std::destroy_at(&mutex_at(lock));
}

grant robust_mutex_subject::lock(void* lock) const {
  return grant_of(mutex_at(lock).lock().status());
}

grant robust_mutex_subject::try_lock(void* lock) const {
  return grant_of(mutex_at(lock).try_lock().status());
}

bool robust_mutex_subject::unlock(void* lock) const {
  return mutex_at(lock).unlock() == unlock_status::released;
}

void robust_mutex_subject::mark_consistent(void* lock) const {
  mutex_at(lock).mark_consistent();
}

bool robust_mutex_subject::held_by(const void* lock, pid_t tid) const {
  return word_names(static_cast<const robust_mutex*>(lock)->native_handle(), tid);
}

} // namespace deadbolt::crash
