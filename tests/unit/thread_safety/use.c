/* SPDX-License-Identifier: MIT */
/* The C locks under clang's -Wthread-safety: right use, and one wrong use for each value of WRONG.
 * In C, clang 14 cannot declare a member guarded by a lock beside it: the functions that use the
 * data say so. */
#include <deadbolt/region.h>
#include <deadbolt/robust_mutex.h>
#include <deadbolt/thread_safety.h>

#ifndef WRONG
#define WRONG 0
#endif

#define ACCOUNT(name)                                                                              \
  struct name##_account {                                                                          \
    struct deadbolt_##name lock;                                                                   \
    int value;                                                                                     \
  };                                                                                               \
  static void name##_add(struct name##_account* it)                                                \
      __attribute__((requires_capability(it->lock)));                                              \
  static void name##_add(struct name##_account* it) {                                              \
    ++it->value;                                                                                   \
  }                                                                                                \
  bool name##_right_lock(struct name##_account* it) {                                              \
    if (deadbolt_##name##_lock(&it->lock) > DEADBOLT_OWNER_DIED) {                                 \
      deadbolt_##name##_assume_not_held(&it->lock);                                                \
      return false;                                                                                \
    }                                                                                              \
    deadbolt_##name##_mark_consistent(&it->lock);                                                  \
    name##_add(it);                                                                                \
    return deadbolt_##name##_unlock(&it->lock) == DEADBOLT_RELEASED;                               \
  }                                                                                                \
  bool name##_right_try_lock(struct name##_account* it) {                                          \
    if (deadbolt_##name##_try_lock(&it->lock) != DEADBOLT_ACQUIRED) return false;                  \
    deadbolt_##name##_assume_held(&it->lock);                                                      \
    name##_add(it);                                                                                \
    deadbolt_##name##_unlock(&it->lock);                                                           \
    return true;                                                                                   \
  }

ACCOUNT(mutex)
ACCOUNT(shared_mutex)
ACCOUNT(robust_mutex)
ACCOUNT(robust_pi_mutex)

static struct deadbolt_shared_mutex table_lock;
static int table __attribute__((guarded_by(table_lock)));

int right_read(void) {
  if (deadbolt_shared_mutex_lock_shared(&table_lock) == DEADBOLT_OWNER_DIED)
    deadbolt_shared_mutex_mark_consistent(&table_lock);
  const int seen = table;
  deadbolt_shared_mutex_unlock_shared(&table_lock);
  return seen;
}
int right_try_read(void) {
  if (deadbolt_shared_mutex_try_lock_shared(&table_lock) != DEADBOLT_ACQUIRED) return 0;
  deadbolt_shared_mutex_assume_held_shared(&table_lock);
  const int seen = table;
  deadbolt_shared_mutex_unlock_shared(&table_lock);
  return seen;
}

#if WRONG == 1 // holding mutex
void wrong(struct mutex_account* it) {
  mutex_add(it);
}
#elif WRONG == 2 // still held
void wrong(struct mutex_account* it) {
  if (deadbolt_mutex_lock(&it->lock) == DEADBOLT_ACQUIRED) mutex_add(it);
}
#elif WRONG == 3 // was not held
void wrong(struct shared_mutex_account* it) {
  deadbolt_shared_mutex_unlock(&it->lock);
}
#elif WRONG == 4 // already held
bool wrong(struct mutex_account* it) {
  const enum deadbolt_lock_status first = deadbolt_mutex_lock(&it->lock);
  const enum deadbolt_lock_status second = deadbolt_mutex_lock(&it->lock);
  deadbolt_mutex_unlock(&it->lock);
  return first == second;
}
#elif WRONG == 5 // holding mutex
bool wrong(struct robust_mutex_account* it) {
  const bool held = deadbolt_robust_mutex_try_lock(&it->lock) == DEADBOLT_ACQUIRED;
  robust_mutex_add(it);
  return held;
}
#elif WRONG == 6 // exclusively
void wrong(void) {
  if (deadbolt_shared_mutex_lock_shared(&table_lock) == DEADBOLT_ACQUIRED) table = 1;
  deadbolt_shared_mutex_unlock_shared(&table_lock);
}
#elif WRONG == 7 // still held
bool wrong(void) {
  return deadbolt_shared_mutex_lock_shared(&table_lock) == DEADBOLT_ACQUIRED;
}
#elif WRONG == 8 // still held
bool wrong(struct robust_pi_mutex_account* it) {
  return deadbolt_robust_pi_mutex_lock(&it->lock) == DEADBOLT_ACQUIRED;
}
#endif
