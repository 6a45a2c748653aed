/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes that sleep on a futex: how they are started, awaited, counted and
 * woken. Nothing here waits for time to pass.
 */
#ifndef SELFTESTS_WAITERS_H
#define SELFTESTS_WAITERS_H

#include <sys/types.h>

#include "abi.h"

void die_with_parent(void);			/* called in a child */
pid_t start_waiter(int slot, u32 *word);	/* sleeps in FUTEX_WAIT */
pid_t start_pi_waiter(int slot, u32 *word, int priority);
int queued(u32 *word);				/* sleepers on a word */
int wake_all(u32 *word);
void await_queued(u32 *word, int count);
void await_pi_blocked(pid_t pid, int slot);
void reap(pid_t pid);
char state_of(pid_t pid);			/* 'S' asleep, 'Z' ended, ... */

#endif
