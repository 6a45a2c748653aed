/* SPDX-License-Identifier: MIT */
/*
 * For C under ThreadSanitizer: functions that call a lock function and tell the sanitizer what
 * it orders, as <deadbolt/detail/thread_sanitizer.hpp> does for C++. The headers that include
 * this one then define each lock function's name as a macro for its counterpart here, so that
 * pointers to it are pointers to the counterpart too.
 */
#ifndef DEADBOLT_DETAIL_THREAD_SANITIZER_H
#define DEADBOLT_DETAIL_THREAD_SANITIZER_H

#include <deadbolt/detail/thread_safety.h>
#include <deadbolt/lock_result.h>

void __tsan_acquire(void* address);
void __tsan_release(void* address);
void __tsan_ignore_thread_begin(void);
void __tsan_ignore_thread_end(void);

static inline enum deadbolt_lock_status deadbolt_told_held(void* lock,
                                                           enum deadbolt_lock_status status) {
  if (status == DEADBOLT_ACQUIRED || status == DEADBOLT_OWNER_DIED) __tsan_acquire(lock);
  return status;
}

#define DEADBOLT_TOLD_LOCK(name, type, told)                                                       \
  DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis)                                                \
  static inline enum deadbolt_lock_status deadbolt_told_##name(type* lock) {                       \
    return told(lock, deadbolt_##name(lock));                                                      \
  }
#define DEADBOLT_TOLD_LOCK_UNTIL(name, type, told)                                                 \
  DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis)                                                \
  static inline enum deadbolt_lock_status deadbolt_told_##name(type* lock, clockid_t clock,        \
                                                               const struct timespec* time) {      \
    return told(lock, deadbolt_##name(lock, clock, time));                                         \
  }
/* The sanitizer is told before the unlock, and of the address `released`. */
#define DEADBOLT_TOLD_UNLOCK(result, name, type, released)                                         \
  DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis)                                                \
  static inline result deadbolt_told_##name(type* lock) {                                          \
    __tsan_release(released);                                                                      \
    return deadbolt_##name(lock);                                                                  \
  }

#endif
