// SPDX-License-Identifier: GPL-2.0
/*
 * replay present|reverted: A has released the lock and woken B of the sleepers
 * B and C. D took the free word, without WAITERS. B is killed before it can set
 * WAITERS again; D will unlock without a wake. Only a kernel that passes B's
 * wake on at B's death wakes C. B stops at a breakpoint right after its
 * FUTEX_WAIT: there is no race in here.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "waiters.h"

#define OWNER_A 0x00111111u
#define OWNER_D 0x00222222u

static void second_sleeper(bool pending)
{
	sh->head.list.next = &sh->head.list;
	sh->head.futex_offset = LOCK_OFFSET;
	sh->head.pending = pending ? &sh->target.node : NULL;
	raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raw_futex(&sh->target.word, OP_WAIT, OWNER_A | WORD_WAITERS, 0, NULL, 0);
	__asm__ volatile("int3" ::: "memory");
	_exit(0);
}

/* Returns the number of sleepers left when B is gone. */
static int one(u32 word_at_death, bool pending, u32 *word_after)
{
	pid_t b, c;
	int status, left;

	memset(sh, 0, sizeof(*sh));
	sh->target.word = OWNER_A | WORD_WAITERS;
	b = fork();
	if (!b)
		second_sleeper(pending);
	await_queued(&sh->target.word, 1);
	c = start_waiter(0, &sh->target.word);
	await_queued(&sh->target.word, 2);

	sh->target.word = 0;
	if (raw_futex(&sh->target.word, OP_WAKE, 1, 0, NULL, 0) != 1)
		bail("nobody was woken");
	waitpid(b, &status, 0);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP || queued(&sh->target.word) != 1)
		bail("B was not the one woken: status %x", status);
	sh->target.word = word_at_death;
	kill(b, SIGKILL);
	waitpid(b, &status, 0);
	*word_after = sh->target.word;
	left = wake_all(&sh->target.word);
	waitpid(c, NULL, 0);
	return left;
}

int test_replay(int argc, char **argv)
{
	bool present;
	u32 after;
	int left;

	if (argc != 2)
		bail("usage: replay present|reverted");
	present = !strcmp(argv[1], "present");
	trial_setup();

	left = one(OWNER_D, true, &after);
	ok(left == (present ? 0 : 1) && after == OWNER_D,
	   "%s B killed after D took the lock without WAITERS: C %s", ABI_NAME,
	   left ? "sleeps on" : "was woken");
	left = one(0, true, &after);
	ok(left == 0 && after == 0, "%s B killed while the word is free: C %s", ABI_NAME,
	   left ? "sleeps on" : "was woken");
	left = one(OWNER_D | WORD_WAITERS, true, &after);
	ok(left == 1 && after == (OWNER_D | WORD_WAITERS),
	   "%s B killed after D took the lock with WAITERS: D will wake C, who %s", ABI_NAME,
	   left ? "sleeps on" : "was woken");
	/* The checker itself: without a pending entry no kernel can know. */
	left = one(OWNER_D, false, &after);
	ok(left == 1 && after == OWNER_D, "%s B killed with nothing pending: C %s", ABI_NAME,
	   left ? "sleeps on" : "was woken");
	return tap_done();
}
