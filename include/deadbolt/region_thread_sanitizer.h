/* SPDX-License-Identifier: MIT */
/*
 * For C under ThreadSanitizer: wrappers of the lock functions of region.h that tell the
 * sanitizer what each lock orders, as <deadbolt/detail/thread_sanitizer.hpp> does for C++.
 * region.h includes this file. A file that is compiled without the sanitizer calls the plain
 * functions.
 */
#ifndef DEADBOLT_REGION_THREAD_SANITIZER_H
#define DEADBOLT_REGION_THREAD_SANITIZER_H

#include <deadbolt/detail/thread_sanitizer.h>

/* A writer is ordered after earlier writers and readers, a reader only after earlier writers. A
 * reader that was told owner_died holds the lock exclusively, as a writer does. */
static inline enum deadbolt_lock_status deadbolt_told_written(struct deadbolt_shared_mutex* lock,
                                                              enum deadbolt_lock_status status) {
  return deadbolt_told_held(lock, deadbolt_told_held(&lock->readers, status));
}
static inline enum deadbolt_lock_status deadbolt_told_read(struct deadbolt_shared_mutex* lock,
                                                           enum deadbolt_lock_status status) {
  if (status == DEADBOLT_OWNER_DIED) return deadbolt_told_written(lock, status);
  return deadbolt_told_held(lock, status);
}
static inline enum deadbolt_wait_status deadbolt_told_awake(struct deadbolt_mutex* lock,
                                                            enum deadbolt_wait_status status) {
  if (status != DEADBOLT_WAIT_NOT_RECOVERABLE && status != DEADBOLT_WAIT_NOT_OWNER)
    __tsan_acquire(lock);
  return status;
}

DEADBOLT_TOLD_LOCK(mutex_lock, struct deadbolt_mutex, deadbolt_told_held)
DEADBOLT_TOLD_LOCK(mutex_try_lock, struct deadbolt_mutex, deadbolt_told_held)
DEADBOLT_TOLD_LOCK_UNTIL(mutex_lock_until, struct deadbolt_mutex, deadbolt_told_held)
DEADBOLT_TOLD_UNLOCK(enum deadbolt_unlock_status, mutex_unlock, struct deadbolt_mutex, lock)
DEADBOLT_TOLD_LOCK(shared_mutex_lock, struct deadbolt_shared_mutex, deadbolt_told_written)
DEADBOLT_TOLD_LOCK(shared_mutex_try_lock, struct deadbolt_shared_mutex, deadbolt_told_written)
DEADBOLT_TOLD_LOCK_UNTIL(shared_mutex_lock_until, struct deadbolt_shared_mutex,
                         deadbolt_told_written)
DEADBOLT_TOLD_UNLOCK(enum deadbolt_unlock_status, shared_mutex_unlock, struct deadbolt_shared_mutex,
                     lock)
DEADBOLT_TOLD_LOCK(shared_mutex_lock_shared, struct deadbolt_shared_mutex, deadbolt_told_read)
DEADBOLT_TOLD_LOCK(shared_mutex_try_lock_shared, struct deadbolt_shared_mutex, deadbolt_told_read)
DEADBOLT_TOLD_LOCK_UNTIL(shared_mutex_lock_shared_until, struct deadbolt_shared_mutex,
                         deadbolt_told_read)
DEADBOLT_TOLD_UNLOCK(enum deadbolt_unlock_status, shared_mutex_unlock_shared,
                     struct deadbolt_shared_mutex, &lock->readers)
/* All later holders see the repair, also one by a reader. */
DEADBOLT_TOLD_UNLOCK(bool, shared_mutex_mark_consistent, struct deadbolt_shared_mutex, lock)

static inline enum deadbolt_wait_status
deadbolt_told_condition_variable_wait(struct deadbolt_condition_variable* condition,
                                      struct deadbolt_mutex* mutex) {
  __tsan_release(mutex);
  return deadbolt_told_awake(mutex, deadbolt_condition_variable_wait(condition, mutex));
}
static inline enum deadbolt_wait_status
deadbolt_told_condition_variable_wait_until(struct deadbolt_condition_variable* condition,
                                            struct deadbolt_mutex* mutex, clockid_t clock,
                                            const struct timespec* time) {
  __tsan_release(mutex);
  return deadbolt_told_awake(mutex,
                             deadbolt_condition_variable_wait_until(condition, mutex, clock, time));
}

#define DEADBOLT_TOLD_INTERRUPTIBLE(name, type, told)                                              \
  DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis)                                                \
  static inline enum deadbolt_lock_status deadbolt_told_##name(                                    \
      type* lock, clockid_t clock, const struct timespec* time,                                    \
      const struct deadbolt_stop_flag* stop) {                                                     \
    return told(lock, deadbolt_##name(lock, clock, time, stop));                                   \
  }
DEADBOLT_TOLD_INTERRUPTIBLE(mutex_lock_interruptible, struct deadbolt_mutex, deadbolt_told_held)
DEADBOLT_TOLD_INTERRUPTIBLE(shared_mutex_lock_interruptible, struct deadbolt_shared_mutex,
                            deadbolt_told_written)
DEADBOLT_TOLD_INTERRUPTIBLE(shared_mutex_lock_shared_interruptible, struct deadbolt_shared_mutex,
                            deadbolt_told_read)
#undef DEADBOLT_TOLD_INTERRUPTIBLE
static inline enum deadbolt_wait_status deadbolt_told_condition_variable_wait_interruptible(
    struct deadbolt_condition_variable* condition, struct deadbolt_mutex* mutex, clockid_t clock,
    const struct timespec* time, const struct deadbolt_stop_flag* stop) {
  __tsan_release(mutex);
  return deadbolt_told_awake(
      mutex, deadbolt_condition_variable_wait_interruptible(condition, mutex, clock, time, stop));
}
static inline enum deadbolt_lock_status deadbolt_told_counting_semaphore_acquire_interruptible(
    struct deadbolt_permit* permits, size_t count, clockid_t clock, const struct timespec* time,
    const struct deadbolt_stop_flag* stop) {
  return deadbolt_told_held(permits, deadbolt_counting_semaphore_acquire_interruptible(
                                         permits, count, clock, time, stop));
}

static inline enum deadbolt_lock_status
deadbolt_told_counting_semaphore_acquire(struct deadbolt_permit* permits, size_t count) {
  return deadbolt_told_held(permits, deadbolt_counting_semaphore_acquire(permits, count));
}
static inline enum deadbolt_lock_status
deadbolt_told_counting_semaphore_try_acquire(struct deadbolt_permit* permits, size_t count) {
  return deadbolt_told_held(permits, deadbolt_counting_semaphore_try_acquire(permits, count));
}
static inline enum deadbolt_lock_status
deadbolt_told_counting_semaphore_acquire_until(struct deadbolt_permit* permits, size_t count,
                                               clockid_t clock, const struct timespec* time) {
  return deadbolt_told_held(permits,
                            deadbolt_counting_semaphore_acquire_until(permits, count, clock, time));
}
static inline enum deadbolt_unlock_status
deadbolt_told_counting_semaphore_release(struct deadbolt_permit* permits, size_t count) {
  __tsan_release(permits);
  return deadbolt_counting_semaphore_release(permits, count);
}

/* A thread that finds an object sees what its constructing thread wrote. The library compares
 * names by libc functions that the sanitizer sees, under a lock that it does not see: so it
 * is told to ignore the call. */
static inline void*
deadbolt_told_region_find_or_begin_construct(const struct deadbolt_region* region, const char* name,
                                             size_t size, size_t alignment,
                                             enum deadbolt_object_kind kind, bool* fresh) {
  __tsan_ignore_thread_begin();
  void* object =
      deadbolt_region_find_or_begin_construct(region, name, size, alignment, kind, fresh);
  __tsan_ignore_thread_end();
  __tsan_acquire(region->mapping);
  return object;
}
static inline void deadbolt_told_region_end_construct(const struct deadbolt_region* region,
                                                      const char* name, bool made) {
  __tsan_release(region->mapping);
  deadbolt_region_end_construct(region, name, made);
}
static inline void* deadbolt_told_region_find(const struct deadbolt_region* region,
                                              const char* name, size_t size, size_t alignment,
                                              enum deadbolt_object_kind kind) {
  void* object = deadbolt_region_find(region, name, size, alignment, kind);
  __tsan_acquire(region->mapping);
  return object;
}
static inline enum deadbolt_destroy_status
deadbolt_told_region_destroy(const struct deadbolt_region* region, const char* name, size_t size,
                             size_t alignment, enum deadbolt_object_kind kind) {
  enum deadbolt_destroy_status status;
  __tsan_release(region->mapping);
  __tsan_ignore_thread_begin();
  status = deadbolt_region_destroy(region, name, size, alignment, kind);
  __tsan_ignore_thread_end();
  return status;
}

#define deadbolt_mutex_lock deadbolt_told_mutex_lock
#define deadbolt_mutex_try_lock deadbolt_told_mutex_try_lock
#define deadbolt_mutex_lock_until deadbolt_told_mutex_lock_until
#define deadbolt_mutex_unlock deadbolt_told_mutex_unlock
#define deadbolt_shared_mutex_lock deadbolt_told_shared_mutex_lock
#define deadbolt_shared_mutex_try_lock deadbolt_told_shared_mutex_try_lock
#define deadbolt_shared_mutex_lock_until deadbolt_told_shared_mutex_lock_until
#define deadbolt_shared_mutex_unlock deadbolt_told_shared_mutex_unlock
#define deadbolt_shared_mutex_lock_shared deadbolt_told_shared_mutex_lock_shared
#define deadbolt_shared_mutex_try_lock_shared deadbolt_told_shared_mutex_try_lock_shared
#define deadbolt_shared_mutex_lock_shared_until deadbolt_told_shared_mutex_lock_shared_until
#define deadbolt_shared_mutex_unlock_shared deadbolt_told_shared_mutex_unlock_shared
#define deadbolt_shared_mutex_mark_consistent deadbolt_told_shared_mutex_mark_consistent
#define deadbolt_mutex_lock_interruptible deadbolt_told_mutex_lock_interruptible
#define deadbolt_shared_mutex_lock_interruptible deadbolt_told_shared_mutex_lock_interruptible
#define deadbolt_shared_mutex_lock_shared_interruptible                                            \
  deadbolt_told_shared_mutex_lock_shared_interruptible
#define deadbolt_condition_variable_wait_interruptible                                             \
  deadbolt_told_condition_variable_wait_interruptible
#define deadbolt_counting_semaphore_acquire_interruptible                                          \
  deadbolt_told_counting_semaphore_acquire_interruptible
#define deadbolt_condition_variable_wait deadbolt_told_condition_variable_wait
#define deadbolt_condition_variable_wait_until deadbolt_told_condition_variable_wait_until
#define deadbolt_counting_semaphore_acquire deadbolt_told_counting_semaphore_acquire
#define deadbolt_counting_semaphore_try_acquire deadbolt_told_counting_semaphore_try_acquire
#define deadbolt_counting_semaphore_acquire_until deadbolt_told_counting_semaphore_acquire_until
#define deadbolt_counting_semaphore_release deadbolt_told_counting_semaphore_release
#define deadbolt_region_find_or_begin_construct deadbolt_told_region_find_or_begin_construct
#define deadbolt_region_end_construct deadbolt_told_region_end_construct
#define deadbolt_region_find deadbolt_told_region_find
#define deadbolt_region_destroy deadbolt_told_region_destroy

#endif
