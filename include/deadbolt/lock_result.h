/* SPDX-License-Identifier: MIT */
/* The results of lock operations, for C. */
#ifndef DEADBOLT_LOCK_RESULT_H
#define DEADBOLT_LOCK_RESULT_H

#include <deadbolt/detail/c_interface.h>

DEADBOLT_BEGIN_C

/* The caller holds the lock after the first two. After DEADBOLT_OWNER_DIED the data may be
 * half-written: repair it and call _mark_consistent() before the unlock. */
enum deadbolt_lock_status {
  DEADBOLT_ACQUIRED,
  DEADBOLT_OWNER_DIED,
  DEADBOLT_NOT_RECOVERABLE,
  DEADBOLT_BUSY,
  DEADBOLT_TIMED_OUT,
  DEADBOLT_DEADLOCK,
  DEADBOLT_TOO_MANY_HOLDS,
  DEADBOLT_CANNOT_ATTACH, /* of a region's lock: deadbolt_last_attach_failure() has the reason */
  DEADBOLT_INTERRUPTED    /* not held: a stop_flag or a signal handler ended the wait */
};

enum deadbolt_unlock_status { DEADBOLT_RELEASED, DEADBOLT_NOT_OWNER };

/* The name as deadbolt's messages write it: "owner_died". */
const char* deadbolt_lock_status_name(enum deadbolt_lock_status status);

DEADBOLT_END_C
#endif
