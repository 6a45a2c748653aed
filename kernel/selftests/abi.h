/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The robust futex ABI as the guest tests use it, written down here once more
 * instead of being taken from the kernel's headers: a test that includes what
 * it tests cannot see a wrong number.
 *
 * Each program is compiled three times: -m64, -m32, -mx32. `long` and pointers
 * then have the width of that ABI's robust list head.
 */
#ifndef SELFTESTS_ABI_H
#define SELFTESTS_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

typedef uint32_t u32;
typedef uint64_t u64;

#if defined(__x86_64__) && defined(__ILP32__)
#define ABI_NAME "x32"
#elif defined(__x86_64__)
#define ABI_NAME "64"
#else
#define ABI_NAME "32"
#endif

struct node {
	struct node *next;
};

struct head {
	struct node list;
	long futex_offset;
	struct node *pending;
};

/* Lock word: bits 0-29 TID, 30 owner died, 31 waiters. */
#define WORD_TID	0x3fffffffu
#define WORD_DIED	0x40000000u
#define WORD_WAITERS	0x80000000u

/* Low bits of an entry pointer. */
#define ENTRY_PI	1ul
#define ENTRY_NEED_ACTION 2ul
#define ENTRY_BITS	3ul

#define OP_WAIT		0
#define OP_WAKE		1
#define OP_REQUEUE	3
#define OP_LOCK_PI	6
#define OP_UNLOCK_PI	7
#define OP_TRYLOCK_PI	8
#define OP_WAIT_BITSET	9
#define OP_WAKE_BITSET	10
#define OP_PRIVATE	128
#define OP_ROBUST_UNLOCK 512
#define OP_ROBUST_LIST32 1024

/* For `*pop` of this program's own width in the flagged system call. */
#define OP_ROBUST_NATIVE \
	(OP_ROBUST_UNLOCK | (sizeof(long) == 4 ? OP_ROBUST_LIST32 : 0))

/* Returns -errno. No libc in between: these calls are single-stepped. */
long raw_syscall(long nr, long a, long b, long c, long d, long e, long f);

static inline long raw_futex(u32 *word, int op, u32 val, long timeout,
			     void *word2, u32 val3)
{
	return raw_syscall(SYS_futex, (long)word, op, (long)val, timeout,
			   (long)word2, (long)val3);
}

typedef u32 unlock_fn(u32 *word, struct head *head);
typedef int pi_try_unlock_fn(u32 *word, u32 *expected, struct head *head);
typedef u32 list64_fn(u32 *word, u32 tid, u64 *pop);
typedef u32 list32_fn(u32 *word, u32 tid, u32 *pop);

#endif
