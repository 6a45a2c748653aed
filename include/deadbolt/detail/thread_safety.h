/* SPDX-License-Identifier: MIT */
/*
 * The annotations that clang's -Wthread-safety checks, for C and C++; nothing for other
 * compilers. Those of functions that acquire or release a lock also exempt the function's own
 * body: a lock acquires and releases itself in ways that the analysis cannot follow.
 */
#ifndef DEADBOLT_DETAIL_THREAD_SAFETY_H
#define DEADBOLT_DETAIL_THREAD_SAFETY_H

#if defined(__has_attribute)
#if __has_attribute(acquire_capability)
#define DEADBOLT_THREAD_SAFETY(...) __attribute__((__VA_ARGS__))
#endif
#endif
#ifndef DEADBOLT_THREAD_SAFETY
#define DEADBOLT_THREAD_SAFETY(...)
#endif

/* After `class` or `struct`: the type is a lock. */
#define DEADBOLT_CAPABILITY(name) DEADBOLT_THREAD_SAFETY(capability(name))

/* After a function's parameter list. Without arguments they are about `this`. */
#define DEADBOLT_ACQUIRES(...)                                                                     \
  DEADBOLT_THREAD_SAFETY(acquire_capability(__VA_ARGS__), no_thread_safety_analysis)
#define DEADBOLT_ACQUIRES_SHARED(...)                                                              \
  DEADBOLT_THREAD_SAFETY(acquire_shared_capability(__VA_ARGS__), no_thread_safety_analysis)
#define DEADBOLT_TRY_ACQUIRES(...)                                                                 \
  DEADBOLT_THREAD_SAFETY(try_acquire_capability(__VA_ARGS__), no_thread_safety_analysis)
#define DEADBOLT_TRY_ACQUIRES_SHARED(...)                                                          \
  DEADBOLT_THREAD_SAFETY(try_acquire_shared_capability(__VA_ARGS__), no_thread_safety_analysis)
#define DEADBOLT_RELEASES(...)                                                                     \
  DEADBOLT_THREAD_SAFETY(release_capability(__VA_ARGS__), no_thread_safety_analysis)
/* For a hold of either kind: a reader that was told owner_died holds the lock alone. */
#define DEADBOLT_RELEASES_ANY(...)                                                                 \
  DEADBOLT_THREAD_SAFETY(release_generic_capability(__VA_ARGS__), no_thread_safety_analysis)
#define DEADBOLT_REQUIRES(...) DEADBOLT_THREAD_SAFETY(requires_capability(__VA_ARGS__))
#define DEADBOLT_ASSERTS_HELD(...) DEADBOLT_THREAD_SAFETY(assert_capability(__VA_ARGS__))
#define DEADBOLT_ASSERTS_HELD_SHARED(...)                                                          \
  DEADBOLT_THREAD_SAFETY(assert_shared_capability(__VA_ARGS__))
/* The result stands for the lock: see try_lock_result. */
#define DEADBOLT_RETURNS_LOCK(lock)                                                                \
  DEADBOLT_THREAD_SAFETY(lock_returned(lock), no_thread_safety_analysis)

#endif
