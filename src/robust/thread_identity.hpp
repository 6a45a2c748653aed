// SPDX-License-Identifier: MIT
// Who the calling thread is to the kernel's robust-futex code.
#ifndef DEADBOLT_ROBUST_THREAD_IDENTITY_HPP
#define DEADBOLT_ROBUST_THREAD_IDENTITY_HPP

#include <cstdint>
#include <linux/futex.h>

namespace deadbolt::robust {

// The thread's TID and the robust list head that its libc registered, looked up
// on the thread's first use of a lock. `process` is no_process until then.
struct thread_identity {
  robust_list_head* head;
  std::uint32_t tid;
  std::uint32_t process; // the process mark of the look-up
};
inline constexpr std::uint32_t no_process = 0;

// Initial-exec: one load relative to the thread pointer, from a shared library
// too.
[[gnu::tls_model("initial-exec"),
  gnu::visibility("hidden")]] extern constinit thread_local thread_identity cached_identity;

// The mark of this process, in a page that the kernel zeroes in a forked child
// (MADV_WIPEONFORK), also in one that fork handlers know nothing of; the child's first
// look-up then writes a mark that no ancestor had. An identity that was looked up under
// another mark is the parent's, whichever of the child's threads looked up its own first.
[[gnu::visibility("hidden")]] extern constinit const std::uint32_t* process_mark;

// Looks up the identity anew, for a use of `lock`; aborts when the thread has no
// robust list.
thread_identity look_up_identity(const void* lock) noexcept;

inline bool identity_is_current(thread_identity identity) noexcept {
  // order: the pointer pairs with mark_process()'s release store.
  const std::uint32_t* mark = __atomic_load_n(&process_mark, __ATOMIC_ACQUIRE);
  const std::uint32_t process = __atomic_load_n(mark, __ATOMIC_RELAXED);
  return identity.process == process && process != no_process;
}

inline thread_identity this_thread(const void* lock) noexcept {
  const thread_identity identity = cached_identity;
  if (__builtin_expect(identity_is_current(identity), 1)) return identity;
  return look_up_identity(lock);
}

} // namespace deadbolt::robust
#endif
