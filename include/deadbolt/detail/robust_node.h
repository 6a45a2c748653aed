/* SPDX-License-Identifier: MIT */
/*
 * The bytes of robust_mutex and robust_pi_mutex, for C and C++.
 *
 * A thread's robust list belongs to its libc, glibc or musl, so a node looks like that libc's own
 * mutex at the offsets that the libc and the kernel use. So there are two layouts, with the same
 * size and the same two links. The member `layout` says which of them it is: it lies where a
 * program of the other libc expects the lock word. Its value is not a thread's TID, so that such a
 * program finds the mutex held, and waits instead of corrupting it.
 *
 * word: bits 0-29 owner TID (set by the locker, cleared by unlock and by the kernel), bit 30
 * FUTEX_OWNER_DIED (set by the kernel, cleared by the next owner), bit 31 FUTEX_WAITERS (set
 * by a waiter before it sleeps, kept by an owner that slept; the kernel keeps it). A word
 * whose TID bits are 0 is free.
 */
#ifndef DEADBOLT_DETAIL_ROBUST_NODE_H
#define DEADBOLT_DETAIL_ROBUST_NODE_H

#include <features.h>
#include <stddef.h>
#include <stdint.h>

struct deadbolt_robust_node {
#if defined(__GLIBC__)
  uint32_t word;
  uint32_t layout;
  uint32_t state; /* consistent, inconsistent, not recoverable: for the owner alone */
  uint32_t spins; /* how long a waiter spins; racy on purpose */
  uint32_t unused[2];
#else
  uint32_t layout; /* musl: bit 7 says process-shared, bit 2 robust */
  uint32_t word;
  uint32_t waiters; /* for musl's pthread_exit; deadbolt's waiters are in `word` */
  uint32_t state;
  uint32_t spins;
  uint32_t unused;
#endif
  void* previous;
  void* next;
};

#if defined(__GLIBC__)
#define DEADBOLT_ROBUST_NODE_INIT                                                                  \
  { 0, 0x3fff0067, 0, 0, {0, 0}, NULL, NULL }
#else
#define DEADBOLT_ROBUST_NODE_INIT                                                                  \
  { 0x3fff0084, 0, 0, 0, 0, 0, NULL, NULL }
#endif

#endif
