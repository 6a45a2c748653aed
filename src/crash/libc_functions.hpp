// SPDX-License-Identifier: MIT
// The libc's mutex functions, and what stands in front of them in a program that has
// libdeadbolt-pthread.so.
#ifndef DEADBOLT_CRASH_LIBC_FUNCTIONS_HPP
#define DEADBOLT_CRASH_LIBC_FUNCTIONS_HPP

#include <pthread.h>

namespace deadbolt::crash {

struct libc_functions {
  decltype(&pthread_mutex_lock) lock;
  decltype(&pthread_mutex_trylock) try_lock;
  decltype(&pthread_mutex_unlock) unlock;
  // By its address, so that no victim is stepped through the loader's search for it.
  decltype(&pthread_cond_wait) wait = pthread_cond_wait;
};

[[nodiscard]] const libc_functions& stock_libc();

// Loads the library into this process, which stays changed: pthread_cond_wait too goes its way
// from then on. Processes that are forked later have it as well. Throws failure where there is
// no library, or where it does not reach the libc's own code.
[[nodiscard]] const libc_functions& preloaded_libc();

} // namespace deadbolt::crash
#endif
