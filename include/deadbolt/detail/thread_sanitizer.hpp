// SPDX-License-Identifier: MIT
// Telling ThreadSanitizer what a lock orders.
#ifndef DEADBOLT_DETAIL_THREAD_SANITIZER_HPP
#define DEADBOLT_DETAIL_THREAD_SANITIZER_HPP

#include <deadbolt/detail/abi.hpp>
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
void __tsan_ignore_thread_begin();
void __tsan_ignore_thread_end();
}
#endif

namespace deadbolt::inline DEADBOLT_ABI::detail {

// Locks are released in assembly, by the kernel or in a library that was built
// without the sanitizer: it would see none of that, and report races on data that a
// lock guards. These calls are made in the program's own code, and in the library's
// for its own links, and are nothing where there is no instrumentation.
inline void thread_sanitizer_acquires([[maybe_unused]] void* lock) noexcept {
#if defined(DEADBOLT_THREAD_SANITIZER)
  __tsan_acquire(lock);
#endif
}

inline lock_status thread_sanitizer_locked(void* lock, lock_status status) noexcept {
  if (status == lock_status::acquired || status == lock_status::owner_died)
    thread_sanitizer_acquires(lock);
  return status;
}

// Around a call into the library that reads, under a lock of its own, what another thread
// wrote by functions of libc: those the sanitizer sees, the lock it does not.
struct thread_sanitizer_ignores {
#if defined(DEADBOLT_THREAD_SANITIZER)
  thread_sanitizer_ignores() noexcept {
    __tsan_ignore_thread_begin();
  }
  ~thread_sanitizer_ignores() {
    __tsan_ignore_thread_end();
  }
  thread_sanitizer_ignores(const thread_sanitizer_ignores&) = delete;
  thread_sanitizer_ignores& operator=(const thread_sanitizer_ignores&) = delete;
#endif
};

// Before an unlock. One by a stranger is taken for an owner's.
inline void thread_sanitizer_unlocks([[maybe_unused]] void* lock) noexcept {
#if defined(DEADBOLT_THREAD_SANITIZER)
  __tsan_release(lock);
#endif
}

} // namespace deadbolt::inline DEADBOLT_ABI::detail
#endif
