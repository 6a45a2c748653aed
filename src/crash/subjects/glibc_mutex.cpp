// SPDX-License-Identifier: MIT
#include "crash/subjects/glibc_mutex.hpp"

#include "crash/lock_word.hpp"

#include <cerrno>
#include <cstring>
#include <pthread.h>

namespace deadbolt::crash {
namespace {

pthread_mutex_t* mutex_at(void* lock) noexcept {
  return static_cast<pthread_mutex_t*>(lock);
}

grant grant_of(int error) noexcept {
  switch (error) {
  case 0:
    return grant::acquired;
  case EOWNERDEAD:
    return grant::owner_died;
  case ENOTRECOVERABLE:
    return grant::not_recoverable;
  case EBUSY:
    return grant::busy;
  default:
    return grant::failed;
  }
}

} // namespace

std::size_t glibc_mutex::size() const {
  return sizeof(pthread_mutex_t);
}

void glibc_mutex::create(void* lock) const {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setprotocol(&attributes, protocol_);
  std::memset(lock, 0, sizeof(pthread_mutex_t));
  pthread_mutex_init(mutex_at(lock), &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void glibc_mutex::destroy(void* lock) const {
  pthread_mutex_destroy(mutex_at(lock));
}
grant glibc_mutex::lock(void* lock) const {
  return grant_of(pthread_mutex_lock(mutex_at(lock)));
}

grant glibc_mutex::try_lock(void* lock) const {
  return grant_of(pthread_mutex_trylock(mutex_at(lock)));
}

bool glibc_mutex::unlock(void* lock) const {
  return pthread_mutex_unlock(mutex_at(lock)) == 0;
}
void glibc_mutex::mark_consistent(void* lock) const {
  pthread_mutex_consistent(mutex_at(lock));
}

bool glibc_mutex::held_by(const void* lock, pid_t tid) const {
  return word_names(lock, tid); // glibc's __lock is at offset 0
}

} // namespace deadbolt::crash
