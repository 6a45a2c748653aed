// SPDX-License-Identifier: MIT
// Where glibc's own code turns to its robust mutexes.
//
// pthread_mutex_lock, the internal function by which pthread_mutex_unlock and pthread_cond_wait
// release a mutex, and the one by which pthread_cond_wait takes it back begin alike: they look at
// the mutex's kind, and for robust, priority-inheritance and priority-protect kinds alone take a
// conditional branch to a jmp, which leads to a function of their own ("full"). To redirect that
// jmp is to take over those kinds from wherever the libc's own code calls, and to leave all other
// mutexes alone.
#ifndef DEADBOLT_PRELOAD_SHAPES_HPP
#define DEADBOLT_PRELOAD_SHAPES_HPP

#include "preload/loaded_object.hpp"

namespace deadbolt::preload {

// The 5-byte jmp that is patched, and its original target.
struct jump_site {
  unsigned char* address = nullptr;
  const unsigned char* target = nullptr;
};

struct libc_sites {
  jump_site lock;
  jump_site cond_lock; // pthread_cond_wait takes the mutex back
  jump_site unlock;    // of programs and of pthread_cond_wait
};

// What must be known of the libc besides its bytes; as the loaded object exports them.
struct libc_entries {
  function mutex_lock;
  function mutex_unlock;
  function cond_wait;
};

// nullptr when all sites were found, each by exactly one of the known sequences of bytes;
// else what was not. Reads nothing outside `code`.
[[nodiscard]] const char* find_sites(const code_range& code, const libc_entries& entries,
                                     libc_sites& sites) noexcept;

} // namespace deadbolt::preload
#endif
