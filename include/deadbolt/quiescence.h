/* SPDX-License-Identifier: MIT */
/* Waiting until no thread of this process is inside an unlock, for C. The functions are those
 * of deadbolt/quiescence.hpp, which says more. */
#ifndef DEADBOLT_QUIESCENCE_H
#define DEADBOLT_QUIESCENCE_H

#include <deadbolt/detail/c_interface.h>
#include <deadbolt/detail/needs_robust_locks.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

DEADBOLT_BEGIN_C

enum deadbolt_quiescence_status {
  DEADBOLT_QUIESCENT,              /* no other thread has a lock operation pending there */
  DEADBOLT_QUIESCENCE_TIMED_OUT,   /* some still have: see in_flight */
  DEADBOLT_QUIESCENCE_UNAVAILABLE, /* the threads could not be examined: see error */
};

struct deadbolt_quiescence {
  uint32_t status; /* enum deadbolt_quiescence_status */
  int error;       /* an errno value, 0 unless unavailable */
  uint32_t in_flight_count;
  pid_t in_flight[8]; /* the TIDs of up to 8 of them */
};

/* Waits at most `timeout` nanoseconds. A second is enough unless a thread is stopped inside an
 * unlock. */
struct deadbolt_quiescence deadbolt_wait_for_unlocks(const void* address, size_t length,
                                                     int64_t timeout) DEADBOLT_RESULT;

/* The same, then munmap() if the memory is quiescent. If munmap() fails, the status is
 * unavailable and `error` is its errno. */
struct deadbolt_quiescence deadbolt_unmap(void* address, size_t length,
                                          int64_t timeout) DEADBOLT_RESULT;

DEADBOLT_END_C
#endif
