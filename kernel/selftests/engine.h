/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The unlocks that are attacked. Each runs between two breakpoints in a traced
 * child, on the memory that parent and child share.
 */
#ifndef SELFTESTS_ENGINE_H
#define SELFTESTS_ENGINE_H

#include "abi.h"

#define MAX_WAITERS 3

struct lock {
	u32 before;
	u32 word;
	u32 after;
	u32 pad;
	struct node node;
};

#define LOCK_OFFSET ((long)offsetof(struct lock, word) - (long)offsetof(struct lock, node))
#define GUARD 0x5a5a5a5au

struct shared {
	struct head head;	/* the victim's, registered with the kernel */
	struct lock held;	/* on its list throughout: must be marked at every death */
	volatile u32 tid;
	volatile int done;	/* the unlock returned */
	volatile int handled;	/* the signal handler reached its breakpoint */
	volatile int go;	/* for the sibling thread */
	volatile int unmapped;	/* by it, the vDSO */
	volatile long result;
	u32 other_futex;	/* nobody sleeps here */
	volatile int waiting[MAX_WAITERS];
	u32 acquired;		/* number of PI waiters that had the lock */
	u32 order[MAX_WAITERS];
	u32 seen[MAX_WAITERS];
	u32 left_word;		/* what an unlock that was refused left behind */
	uintptr_t left_pending;

	/* A second head, 32 bits wide, that a 64-bit victim may have. */
	u32 narrow_head[3];
	u32 narrow_word;
	u32 narrow_node;

	/* The lock that is released, alone in its page: that is what gets reused. */
	struct lock target __attribute__((aligned(4096)));
} __attribute__((aligned(4096)));

extern struct shared *sh;

/* What an engine works on, in the task that runs it. */
struct place {
	struct head *head;
	struct lock *lock;
	struct node *rest;	/* what follows the lock on the list */
	u32 tid;
};

extern struct place at;

struct engine {
	const char *name;
	bool pi;
	bool whole;	/* the caller's sequence, not the function alone */
	bool in_vdso;
	void (*run)(void);
	bool foreign;	/* the lock is OTHER_OWNER's, and the caller has no business there */
	bool refused;	/* the lock is the caller's, and what it expects there is wrong */
};

/* Exists as long as the guest does. */
#define OTHER_OWNER 1u

/* The `local` and `forgetful` ones are the mutants. */
const struct engine *engine_find(const char *name);
bool engine_present(const struct engine *engine);
bool engine_is_mutant(const struct engine *engine);
extern const struct engine engines[];
extern const int engine_count;

#endif
