// SPDX-License-Identifier: MIT
// The calling thread, as the kernel's robust-futex code knows it.
#ifndef DEADBOLT_ROBUST_THREAD_IDENTITY_HPP
#define DEADBOLT_ROBUST_THREAD_IDENTITY_HPP

#include <cstdint>
#include <linux/futex.h>

namespace deadbolt::robust {

// The thread's TID and the robust list head that its libc registered.
struct thread_identity {
  robust_list_head* head;
  std::uint32_t tid;
};

// What a thread has looked up on its first use of a lock.
struct known_identity {
  robust_list_head* head;
  std::uint32_t tid;
  // The complement of the process mark at the look-up; 0 before it, also in a thread that
  // a program made by clone() with thread-local storage of its own.
  std::uint32_t unmarked;
};
inline constexpr std::uint32_t no_process = 0; // the mark that a new child finds in the page

// Initial-exec: one load relative to the thread pointer, from a shared library
// too.
[[gnu::tls_model("initial-exec"),
  gnu::visibility("hidden")]] extern constinit thread_local known_identity cached_identity;

// The mark of this process, in a page that the kernel zeroes in every child
// (base::fork_page). The child's first look-up writes a mark that no ancestor had. A cached
// identity with another mark is therefore the parent's, even if another thread of the child was
// the first to write the child's mark.
[[gnu::visibility("hidden")]] extern constinit const std::uint32_t* process_mark;

// Looks up the identity again, for a use of `lock`; aborts when the thread has no robust
// list. Chooses the engine if that was not done yet.
thread_identity look_up_identity(const void* lock) noexcept;

// Whether the cached identity is valid. No mark is no_process or its complement, so neither
// a child's zeroed page nor fresh thread-local storage passes for a look-up.
inline bool is_known_thread() noexcept {
  // order: the pointer pairs with mark_process()'s release store.
  const std::uint32_t* mark = __atomic_load_n(&process_mark, __ATOMIC_ACQUIRE);
  return cached_identity.unmarked == ~__atomic_load_n(mark, __ATOMIC_RELAXED);
}
inline thread_identity known_thread() noexcept {
  return {cached_identity.head, cached_identity.tid};
}

inline thread_identity this_thread(const void* lock) noexcept {
  return __builtin_expect(is_known_thread(), 1) ? known_thread() : look_up_identity(lock);
}

} // namespace deadbolt::robust
#endif
