/* SPDX-License-Identifier: MIT */
/*
 * The owner's death handled in one place, for C: what deadbolt/with_recovery.hpp is for C++.
 *
 *   static bool repair(void* data);
 *   ...
 *   status = deadbolt_mutex_with_recovery(mutex, deadbolt_mutex_lock(mutex), repair, data);
 *   if (status != DEADBOLT_ACQUIRED) ...
 *
 * `status` is what a lock function of the mutex has just returned: any of them, also a timed,
 * interruptible or shared one. After DEADBOLT_OWNER_DIED the function calls recover(context) with
 * the lock held. If that returns true, the data is whole again: the function marks the lock
 * consistent and returns DEADBOLT_ACQUIRED. If it returns false, the function releases the lock,
 * which is not recoverable from then on, and returns DEADBOLT_NOT_RECOVERABLE. Every other status
 * is returned as it is: the caller holds the lock after DEADBOLT_ACQUIRED alone.
 */
#ifndef DEADBOLT_WITH_RECOVERY_H
#define DEADBOLT_WITH_RECOVERY_H

#include <deadbolt/detail/robust_architectures.h>
#include <deadbolt/region.h>
#if DEADBOLT_HAS_ROBUST_LOCKS
#include <deadbolt/robust_mutex.h>
#endif

#define DEADBOLT_DEFINE_WITH_RECOVERY(name)                                                        \
  DEADBOLT_RESULT DEADBOLT_THREAD_SAFETY(                                                          \
      no_thread_safety_analysis) static inline enum deadbolt_lock_status                           \
      deadbolt_##name##_with_recovery(struct deadbolt_##name* lock,                                \
                                      enum deadbolt_lock_status status, bool (*recover)(void*),    \
                                      void* context) {                                             \
    if (status != DEADBOLT_OWNER_DIED) return status;                                              \
    if (recover(context)) {                                                                        \
      deadbolt_##name##_mark_consistent(lock);                                                     \
      return DEADBOLT_ACQUIRED;                                                                    \
    }                                                                                              \
    deadbolt_##name##_unlock(lock);                                                                \
    return DEADBOLT_NOT_RECOVERABLE;                                                               \
  }

DEADBOLT_DEFINE_WITH_RECOVERY(mutex)
DEADBOLT_DEFINE_WITH_RECOVERY(shared_mutex)
#if DEADBOLT_HAS_ROBUST_LOCKS
DEADBOLT_DEFINE_WITH_RECOVERY(robust_mutex)
DEADBOLT_DEFINE_WITH_RECOVERY(robust_pi_mutex)
#endif

#undef DEADBOLT_DEFINE_WITH_RECOVERY

#endif
