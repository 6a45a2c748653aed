/* SPDX-License-Identifier: MIT */
/*
 * For C programs that are built with clang's -Wthread-safety.
 *
 * The mutexes are capabilities: variables can be declared __attribute__((guarded_by(lock))), and
 * functions __attribute__((requires_capability(account->lock))). The analysis takes _lock() and
 * _lock_shared() for successful, and learns nothing from the try_, timed and interruptible forms.
 * Where a program decides by the status, it tells the analysis what the status means:
 *
 *   switch (deadbolt_mutex_try_lock(&lock)) {
 *   case DEADBOLT_ACQUIRED:
 *     deadbolt_mutex_assume_held(&lock);
 *     break;
 *   ...
 *   if (deadbolt_mutex_lock(&lock) == DEADBOLT_NOT_RECOVERABLE) {
 *     deadbolt_mutex_assume_not_held(&lock);
 *     return false;
 *   }
 *
 * The functions do nothing else. C++ has deadbolt/thread_safety.hpp.
 */
#ifndef DEADBOLT_THREAD_SAFETY_H
#define DEADBOLT_THREAD_SAFETY_H

#include <deadbolt/detail/robust_architectures.h>
#include <deadbolt/region.h>
#if DEADBOLT_HAS_ROBUST_LOCKS
#include <deadbolt/robust_mutex.h>
#endif

#define DEADBOLT_DEFINE_ASSUMPTION(name, assumption, attribute)                                    \
  static inline void deadbolt_##name##_assume_##assumption(struct deadbolt_##name* lock)           \
      attribute(*lock);                                                                            \
  static inline void deadbolt_##name##_assume_##assumption(struct deadbolt_##name* lock) {         \
    (void)lock;                                                                                    \
  }

DEADBOLT_DEFINE_ASSUMPTION(mutex, held, DEADBOLT_ASSERTS_HELD)
DEADBOLT_DEFINE_ASSUMPTION(mutex, not_held, DEADBOLT_RELEASES)
DEADBOLT_DEFINE_ASSUMPTION(shared_mutex, held, DEADBOLT_ASSERTS_HELD)
DEADBOLT_DEFINE_ASSUMPTION(shared_mutex, held_shared, DEADBOLT_ASSERTS_HELD_SHARED)
DEADBOLT_DEFINE_ASSUMPTION(shared_mutex, not_held, DEADBOLT_RELEASES_ANY)
#if DEADBOLT_HAS_ROBUST_LOCKS
DEADBOLT_DEFINE_ASSUMPTION(robust_mutex, held, DEADBOLT_ASSERTS_HELD)
DEADBOLT_DEFINE_ASSUMPTION(robust_mutex, not_held, DEADBOLT_RELEASES)
DEADBOLT_DEFINE_ASSUMPTION(robust_pi_mutex, held, DEADBOLT_ASSERTS_HELD)
DEADBOLT_DEFINE_ASSUMPTION(robust_pi_mutex, not_held, DEADBOLT_RELEASES)
#endif

#undef DEADBOLT_DEFINE_ASSUMPTION

#endif
