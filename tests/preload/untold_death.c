/* SPDX-License-Identifier: MIT */
/* A lock that is broken on purpose, and does not tell of an owner's death: mixed_storm must
 * notice it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static int (*next)(pthread_mutex_t*);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "pthread_mutex_lock");
  const int error = next(mutex);
  return error == EOWNERDEAD ? 0 : error;
}
