/* SPDX-License-Identifier: MIT */
/* Of reach.c: a library that uses mutexes and that dlopen brings. */
#include <pthread.h>

int module_lock(pthread_mutex_t* mutex) {
  return pthread_mutex_lock(mutex);
}
int module_trylock(pthread_mutex_t* mutex) {
  return pthread_mutex_trylock(mutex);
}
