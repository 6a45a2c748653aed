/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One attack: an engine, how many wait for the lock, and what happens to the
 * unlocking task at each instruction.
 */
#ifndef SELFTESTS_TRIAL_H
#define SELFTESTS_TRIAL_H

#include "engine.h"

enum how {
	HOW_KILL,		/* SIGKILL after k instructions */
	HOW_SYSCALL_ENTRY,	/* SIGKILL in the stop at a system call's entry */
	HOW_SYSCALL_EXIT,	/* and at its exit */
	HOW_EXIT_GROUP,		/* a sibling thread ends the process */
	HOW_EXECVE,		/* a sibling thread executes a program */
	HOW_DEBUGGER,		/* the tracer sets IP elsewhere, then SIGKILL */
	HOW_UNMAPPED,		/* a sibling thread unmaps the vDSO, then SIGKILL */
	HOW_HANDLER,		/* a signal, then SIGKILL at the handler's first instruction */
	HOW_HANDLER_SIGINFO,	/* the same with SA_SIGINFO: another frame for 32-bit */
	HOW_HANDLER_WAKES,	/* the handler wakes another futex, then SIGKILL */
	HOW_HANDLER_RETURNS,	/* the handler returns and the unlock ends */
	HOW_NO_FRAME,		/* the frame cannot be written: the kernel kills */
	HOW_COUNT
};

extern const char *const how_names[HOW_COUNT];

struct tally {
	int points;		/* instructions at which something was done */
	int trials;
	int inside;		/* of the points, those whose IP lay in the vDSO */
	int released;		/* trials in which the word had been released */
	int corrupted;		/* reused memory was written */
	int lost;		/* an unreleased lock was not marked */
	int stranded;		/* a waiter slept on, or did not get the lock */
	int other_lost;		/* the lock held throughout was not marked */
	int strayed;		/* memory beside a lock word was written */
	int unmoved;		/* stopped or in the handler, the state was not in list_op_pending */
	int unfinished;		/* after the handler returned, the unlock ended wrongly */
	int misordered;		/* PI waiters did not get it by priority */
	int broken;		/* the harness: something that cannot happen */
};

struct trial {
	const struct engine *engine;
	int waiters;
	enum how how;
};

void trial_setup(void);
struct tally trial_run(const struct trial *trial);
/* Everything but corrupted, lost, stranded, unmoved, unfinished is as it must be. */
bool tally_sound(const struct tally *tally);
bool tally_clean(const struct tally *tally);
void tally_report(bool good, const struct trial *trial, const struct tally *tally);

#endif
