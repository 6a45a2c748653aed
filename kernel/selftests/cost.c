// SPDX-License-Identifier: GPL-2.0
/*
 * cost patched|stock: lock and unlock with the vDSO, with a local block and by
 * system call, the exit of a task with an empty list, and a FUTEX_WAKE of nobody by
 * a thread with a list. Measured in pairs,
 * turn about, and reported as ratios: the guest runs under emulation with a
 * debugging kernel, where an absolute figure means little. test.sh boots this
 * with -icount, so that a nanosecond is an instruction and the figures of two
 * boots can be compared.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "vdso.h"

#define ROUNDS 15
#define TURNS 2000
#define EXITS 100

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* One uncontended lock and unlock, many times; nanoseconds for one. */
static double turns(const struct engine *engine)
{
	u64 start = now();

	for (int i = 0; i < TURNS; i++) {
		u32 zero = 0;

		at.head->pending = &at.lock->node;
		if (!__atomic_compare_exchange_n(&at.lock->word, &zero, at.tid, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_SEQ_CST))
			bail("%s left the word %x", engine->name, zero);
		at.lock->node.next = at.rest;
		at.head->list.next = &at.lock->node;
		at.head->pending = NULL;
		engine->run();
	}
	return (double)(now() - start) / TURNS;
}

static int ends(void *with_list)
{
	if (with_list)
		raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0);
	raw_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
	return 0;
}

static double exits(bool with_list)
{
	static char stack[16384] __attribute__((aligned(16)));
	u64 start = now();

	for (int i = 0; i < EXITS; i++) {
		pid_t pid = clone(ends, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
				  with_list ? (void *)1 : NULL);

		waitpid(pid, NULL, 0);
	}
	return (double)(now() - start) / EXITS;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct pair {
	double first, second, ratio, low, high;	/* medians; range of the ratio */
};

static struct pair summary(double *first, double *second)
{
	double ratio[ROUNDS];
	struct pair pair;

	for (int i = 0; i < ROUNDS; i++)
		ratio[i] = second[i] / first[i];
	qsort(ratio, ROUNDS, sizeof(double), by_value);
	qsort(first, ROUNDS, sizeof(double), by_value);
	qsort(second, ROUNDS, sizeof(double), by_value);
	pair = (struct pair){ first[ROUNDS / 2], second[ROUNDS / 2], ratio[ROUNDS / 2], ratio[0],
			      ratio[ROUNDS - 1] };
	return pair;
}

/* The second engine in terms of the first; it must cost between the bounds. */
static void compare(const char *base, const char *other, double least, double most)
{
	double first[ROUNDS], second[ROUNDS];
	struct pair pair;

	watchdog(300);
	for (int i = 0; i < ROUNDS; i++) {
		first[i] = turns(engine_find(base));
		second[i] = turns(engine_find(other));
	}
	pair = summary(first, second);
	note("figure cost %s lock+unlock, %s / %s: %.3f (%.3f..%.3f; %.0f and %.0f a turn)", ABI_NAME,
	     other, base, pair.ratio, pair.low, pair.high, pair.second, pair.first);
	ok(pair.ratio > least && pair.ratio < most, "%s %s costs %.3f of %s, between %.2f and %.2f",
	   ABI_NAME, other, pair.ratio, base, least, most);
}

/* A wake of a futex that nobody sleeps on, by a thread that registered its list. */
static double wakes(int flags)
{
	u64 start = now();

	for (int i = 0; i < TURNS; i++)
		raw_futex(&sh->other_futex, OP_WAKE | flags, 1, 0, NULL, 0);
	return (double)(now() - start) / TURNS;
}

static void compare_wakes(void)
{
	double private[ROUNDS], shared[ROUNDS];
	struct pair pair;

	raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0);
	for (int i = 0; i < ROUNDS; i++) {
		private[i] = wakes(OP_PRIVATE);
		shared[i] = wakes(0);
	}
	pair = summary(private, shared);
	note("cost-ns private-wake %s %.0f", ABI_NAME, pair.first);
	note("cost-ns shared-wake %s %.0f", ABI_NAME, pair.second);
	ok(pair.ratio > 1 && pair.ratio < 10, "%s a shared wake of nobody costs %.3f of a private one",
	   ABI_NAME, pair.ratio);
}

int test_cost(int argc, char **argv)
{
	double without[ROUNDS], with[ROUNDS];
	struct pair pair;
	bool series;

	if (argc != 2)
		bail("usage: cost patched|stock");
	series = !strcmp(argv[1], "patched");
	trial_setup();
	sh->head.list.next = &sh->head.list;
	sh->head.futex_offset = LOCK_OFFSET;
	sh->tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	at = (struct place){ &sh->head, &sh->target, &sh->head.list, sh->tid };

	compare("local_unlock", "local_unlock", 0.8, 1.25);
	if (series) {
		compare("local_unlock", "whole_unlock", 0.5, 5);
		compare("local_unlock", "whole_mainline", 0.5, 5);
		compare("whole_unlock", "whole_syscall", 3, 100000);
	}
	sh->head.list.next = &sh->head.list;
	for (int i = 0; i < ROUNDS; i++) {
		watchdog(300);
		without[i] = exits(false);
		with[i] = exits(true);
	}
	pair = summary(without, with);
	note("figure exit %s %s, empty list / no list: %.4f (%.4f..%.4f)", ABI_NAME, argv[1], pair.ratio,
	     pair.low, pair.high);
	note("cost-ns exit-with-an-empty-list %s %.0f", ABI_NAME, pair.second);
	ok(pair.ratio > 0.9 && pair.ratio < 1.5, "%s an exit with an empty list costs %.3f of one without",
	   ABI_NAME, pair.ratio);
	compare_wakes();
	return tap_done();
}
