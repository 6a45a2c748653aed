/* SPDX-License-Identifier: MIT */
/*
 * robust_mutex and robust_pi_mutex for C, and for languages that call C. Each function is the
 * member function of that name in deadbolt/robust_mutex.hpp and robust_pi_mutex.hpp, which say
 * more. Other names: lock_until() is try_lock_until() there; init() and destroy() are the
 * constructor and the destructor. Programs in C and C++ share these mutexes.
 */
#ifndef DEADBOLT_ROBUST_MUTEX_H
#define DEADBOLT_ROBUST_MUTEX_H

#include <deadbolt/detail/needs_robust_locks.h>
#include <deadbolt/detail/robust_node.h>
#include <deadbolt/detail/thread_safety.h>
#include <deadbolt/lock_result.h>

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

DEADBOLT_BEGIN_C

/* In memory that processes share (MAP_SHARED), aligned to 8 bytes. Initialise it once, with
 * _init() or the initialiser; zeroed memory is not a mutex. */
struct DEADBOLT_CAPABILITY("mutex") deadbolt_robust_mutex {
  struct deadbolt_robust_node node;
};
struct DEADBOLT_CAPABILITY("mutex") deadbolt_robust_pi_mutex {
  struct deadbolt_robust_node node;
};
#define DEADBOLT_ROBUST_MUTEX_INIT                                                                 \
  { DEADBOLT_ROBUST_NODE_INIT }
#define DEADBOLT_ROBUST_PI_MUTEX_INIT                                                              \
  { DEADBOLT_ROBUST_NODE_INIT }

void deadbolt_robust_mutex_init(struct deadbolt_robust_mutex* mutex);

/* DEADBOLT_ACQUIRED, OWNER_DIED, NOT_RECOVERABLE or DEADLOCK. */
enum deadbolt_lock_status deadbolt_robust_mutex_lock(struct deadbolt_robust_mutex* mutex)
    DEADBOLT_ACQUIRES(*mutex) DEADBOLT_RESULT;
/* DEADBOLT_ACQUIRED, OWNER_DIED, NOT_RECOVERABLE or BUSY. */
enum deadbolt_lock_status
deadbolt_robust_mutex_try_lock(struct deadbolt_robust_mutex* mutex) DEADBOLT_RESULT;
/* As _lock(), and DEADBOLT_TIMED_OUT. `clock` is CLOCK_MONOTONIC or CLOCK_REALTIME; any other
 * ends the process. */
enum deadbolt_lock_status
deadbolt_robust_mutex_lock_until(struct deadbolt_robust_mutex* mutex, clockid_t clock,
                                 const struct timespec* time) DEADBOLT_RESULT;
/* After DEADBOLT_OWNER_DIED without _mark_consistent() the mutex becomes not recoverable. */
enum deadbolt_unlock_status deadbolt_robust_mutex_unlock(struct deadbolt_robust_mutex* mutex)
    DEADBOLT_RELEASES(*mutex);
/* Declares the data whole again after DEADBOLT_OWNER_DIED. False, and nothing is done, unless
 * the caller holds the mutex and was told so. */
bool deadbolt_robust_mutex_mark_consistent(struct deadbolt_robust_mutex* mutex);
/* The owner's TID in this PID namespace; 0 while the mutex is free. For diagnosis. */
pid_t deadbolt_robust_mutex_owner(const struct deadbolt_robust_mutex* mutex);
/* Before the mutex's memory is reused: waits, a second at most, until no thread of this
 * process is inside an unlock of the mutex; ends the process if one still is. */
void deadbolt_robust_mutex_destroy(struct deadbolt_robust_mutex* mutex);

/* The same with priority inheritance. */
void deadbolt_robust_pi_mutex_init(struct deadbolt_robust_pi_mutex* mutex);
enum deadbolt_lock_status deadbolt_robust_pi_mutex_lock(struct deadbolt_robust_pi_mutex* mutex)
    DEADBOLT_ACQUIRES(*mutex) DEADBOLT_RESULT;
enum deadbolt_lock_status
deadbolt_robust_pi_mutex_try_lock(struct deadbolt_robust_pi_mutex* mutex) DEADBOLT_RESULT;
enum deadbolt_lock_status
deadbolt_robust_pi_mutex_lock_until(struct deadbolt_robust_pi_mutex* mutex, clockid_t clock,
                                    const struct timespec* time) DEADBOLT_RESULT;
enum deadbolt_unlock_status deadbolt_robust_pi_mutex_unlock(struct deadbolt_robust_pi_mutex* mutex)
    DEADBOLT_RELEASES(*mutex);
bool deadbolt_robust_pi_mutex_mark_consistent(struct deadbolt_robust_pi_mutex* mutex);
pid_t deadbolt_robust_pi_mutex_owner(const struct deadbolt_robust_pi_mutex* mutex);
void deadbolt_robust_pi_mutex_destroy(struct deadbolt_robust_pi_mutex* mutex);

DEADBOLT_END_C

#ifdef DEADBOLT_TELLS_THREAD_SANITIZER
#include <deadbolt/detail/thread_sanitizer.h>

DEADBOLT_TOLD_LOCK(robust_mutex_lock, struct deadbolt_robust_mutex, deadbolt_told_held)
DEADBOLT_TOLD_LOCK(robust_mutex_try_lock, struct deadbolt_robust_mutex, deadbolt_told_held)
DEADBOLT_TOLD_LOCK_UNTIL(robust_mutex_lock_until, struct deadbolt_robust_mutex, deadbolt_told_held)
DEADBOLT_TOLD_UNLOCK(enum deadbolt_unlock_status, robust_mutex_unlock, struct deadbolt_robust_mutex,
                     lock)
DEADBOLT_TOLD_LOCK(robust_pi_mutex_lock, struct deadbolt_robust_pi_mutex, deadbolt_told_held)
DEADBOLT_TOLD_LOCK(robust_pi_mutex_try_lock, struct deadbolt_robust_pi_mutex, deadbolt_told_held)
DEADBOLT_TOLD_LOCK_UNTIL(robust_pi_mutex_lock_until, struct deadbolt_robust_pi_mutex,
                         deadbolt_told_held)
DEADBOLT_TOLD_UNLOCK(enum deadbolt_unlock_status, robust_pi_mutex_unlock,
                     struct deadbolt_robust_pi_mutex, lock)

#define deadbolt_robust_mutex_lock deadbolt_told_robust_mutex_lock
#define deadbolt_robust_mutex_try_lock deadbolt_told_robust_mutex_try_lock
#define deadbolt_robust_mutex_lock_until deadbolt_told_robust_mutex_lock_until
#define deadbolt_robust_mutex_unlock deadbolt_told_robust_mutex_unlock
#define deadbolt_robust_pi_mutex_lock deadbolt_told_robust_pi_mutex_lock
#define deadbolt_robust_pi_mutex_try_lock deadbolt_told_robust_pi_mutex_try_lock
#define deadbolt_robust_pi_mutex_lock_until deadbolt_told_robust_pi_mutex_lock_until
#define deadbolt_robust_pi_mutex_unlock deadbolt_told_robust_pi_mutex_unlock
#endif
#endif
