/* SPDX-License-Identifier: MIT */
/*
 * Where the robust locks are. Their unlock code is written in assembly, because a guard must be
 * able to tell at each instruction whether the lock is released.
 */
#ifndef DEADBOLT_DETAIL_ROBUST_ARCHITECTURES_H
#define DEADBOLT_DETAIL_ROBUST_ARCHITECTURES_H

#if defined(__x86_64__) || defined(__aarch64__)
#define DEADBOLT_HAS_ROBUST_LOCKS 1
#else
#define DEADBOLT_HAS_ROBUST_LOCKS 0
#endif

#endif
