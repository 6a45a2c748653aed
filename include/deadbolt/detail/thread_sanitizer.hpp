// SPDX-License-Identifier: MIT
// Tells ThreadSanitizer what a lock orders.
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

// Locks are released in assembly, by the kernel, or in a library that was built without the
// sanitizer. The sanitizer sees none of that, and would report races on data that a lock
// guards. So the headers make these calls, in the program's own code; without the sanitizer
// they are empty.
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

// For calls into the library that read, under an internal lock, what another thread wrote
// with functions of libc: the sanitizer sees those functions, but not the lock.
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

// Before an unlock, also one that then finds that the caller is not the owner.
inline void thread_sanitizer_unlocks([[maybe_unused]] void* lock) noexcept {
#if defined(DEADBOLT_THREAD_SANITIZER)
  __tsan_release(lock);
#endif
}

} // namespace deadbolt::inline DEADBOLT_ABI::detail
#endif
