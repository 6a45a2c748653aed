// SPDX-License-Identifier: MIT
// Telling ThreadSanitizer what a lock orders.
#ifndef DEADBOLT_THREAD_SANITIZER_HPP
#define DEADBOLT_THREAD_SANITIZER_HPP

#include <deadbolt/lock_result.hpp>

#if defined(__SANITIZE_THREAD__)
#define DEADBOLT_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DEADBOLT_THREAD_SANITIZER 1
#endif
#endif

#if defined(DEADBOLT_THREAD_SANITIZER)
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace deadbolt::detail {

// Locks are released in assembly, by the kernel or in a library that was built
// without the sanitizer: it would see none of that, and report races on data that a
// lock guards. These calls are made in the program's own code, and in the library's
// for its own links, and are nothing where there is no instrumentation.
inline lock_status thread_sanitizer_locked([[maybe_unused]] void* lock,
                                           lock_status status) noexcept {
#if defined(DEADBOLT_THREAD_SANITIZER)
  if (status == lock_status::acquired || status == lock_status::owner_died) __tsan_acquire(lock);
#endif
  return status;
}

// Before an unlock. One by a stranger is taken for an owner's.
inline void thread_sanitizer_unlocks([[maybe_unused]] void* lock) noexcept {
#if defined(DEADBOLT_THREAD_SANITIZER)
  __tsan_release(lock);
#endif
}

} // namespace deadbolt::detail
#endif
