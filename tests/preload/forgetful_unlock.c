/* SPDX-License-Identifier: MIT */
/* An unlock that is broken on purpose: compare_states.sh must notice it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>

int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  static int (*next)(pthread_mutex_t*);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
  const int robust = (mutex->__data.__kind & 16) != 0;
  const int error = next(mutex);
  if (robust && error == 0 && mutex->__data.__owner == 0) ++mutex->__data.__nusers;
  return error;
}
