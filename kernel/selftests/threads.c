// SPDX-License-Identifier: GPL-2.0
/*
 * threads vdso|novdso|stock: one thread ends in the middle of a PI unlock while
 * another of the same process waits, with a private or a shared key. The kernel
 * cannot ask the dead which one it used. The waiter must get the lock, as after
 * an unlock and not as owner died, since the unlock had begun. A kernel without
 * the series cannot know that: the control.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "vdso.h"
#include "waiters.h"

static int key;			/* OP_PRIVATE or 0 */
static bool series;
static bool begun;		/* the unlock got as far as to say so */
static volatile pid_t owner_tid, waiter_tid;

static void *owner(void *unused)
{
	u32 expected = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);

	(void)unused;
	sh->tid = expected;
	sh->head.list.next = &sh->head.list;
	sh->head.futex_offset = LOCK_OFFSET;
	sh->head.pending = (struct node *)((uintptr_t)&sh->target.node | ENTRY_PI);
	sh->target.word = expected;
	raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0);
	owner_tid = expected;
	while (!sh->go)
		raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	if (begun && vdso.pi_try_unlock)
		sh->result = vdso.pi_try_unlock(&sh->target.word, &expected, &sh->head);
	else if (begun)
		sh->head.pending = (struct node *)((uintptr_t)sh->head.pending | ENTRY_NEED_ACTION);
	raw_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
	return NULL;
}

static void *waiter(void *unused)
{
	(void)unused;
	waiter_tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	sh->waiting[0] = 1;
	if (!raw_futex(&sh->target.word, OP_LOCK_PI | key, 0, 0, NULL, 0)) {
		sh->seen[0] = sh->target.word;
		sh->acquired = raw_futex(&sh->target.word, OP_UNLOCK_PI | key, 0, 0, NULL, 0) == 0;
	}
	return NULL;
}

static void process(void)
{
	pthread_t threads[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pthread_create(&threads[0], NULL, owner, NULL))
		_exit(2);
	while (!owner_tid)
		sched_yield();
	if (pthread_create(&threads[1], NULL, waiter, NULL))
		_exit(2);
	while (!waiter_tid)
		sched_yield();
	await_pi_blocked(waiter_tid, 0);
	sh->go = 1;
	pthread_join(threads[1], NULL);
	_exit(0);
}

static void run(const char *what)
{
	int status;
	pid_t pid;
	bool died;

	memset(sh, 0, sizeof(*sh));
	pid = fork();
	if (!pid)
		process();
	waitpid(pid, &status, 0);
	died = sh->seen[0] & WORD_DIED;
	ok(!status && sh->acquired && died == !(begun && series) && sh->target.word == 0 && !sh->result,
	   "%s PI owner thread ends %s, waiter with a %s key: %s", ABI_NAME, what,
	   key ? "private" : "shared", sh->acquired ? (died ? "gets it as owner died" : "gets it") :
	   "is stranded");
}

int test_threads(int argc, char **argv)
{
	if (argc != 2)
		bail("usage: threads vdso|novdso|stock");
	series = strcmp(argv[1], "stock");
	if (!strcmp(argv[1], "vdso") && !vdso.pi_try_unlock)
		bail("no vDSO function");
	trial_setup();
	for (int i = 0; i < 2; i++) {
		key = i ? OP_PRIVATE : 0;
		begun = false;
		run("before the unlock");
		begun = true;
		run("inside the unlock");
	}
	return tap_done();
}
