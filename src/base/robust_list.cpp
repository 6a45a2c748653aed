// SPDX-License-Identifier: MIT
#include <base/robust_list.hpp>

#include <pthread.h>

namespace deadbolt::base {

void make_libc_register_robust_list() noexcept {
  pthread_mutexattr_t attributes;
  pthread_mutex_t mutex;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (pthread_mutex_init(&mutex, &attributes) == 0) {
    if (pthread_mutex_lock(&mutex) == 0) pthread_mutex_unlock(&mutex);
    pthread_mutex_destroy(&mutex);
  }
  pthread_mutexattr_destroy(&attributes);
}

} // namespace deadbolt::base
