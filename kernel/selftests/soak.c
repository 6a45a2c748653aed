// SPDX-License-Identifier: GPL-2.0
/*
 * soak vdso|novdso KILLS: four workers contend for one lock on all CPUs and are
 * killed while they run, wherever they happen to be; each is replaced. Nobody
 * may be inside with another, and progress must never end. Kills come after a
 * random number of operations, not after a time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "waiters.h"

#define WORKERS 4

struct field {
	struct lock lock __attribute__((aligned(4096)));
	struct head head[WORKERS];
	volatile u32 inside;		/* TID of whoever holds the lock */
	volatile u32 operations, deaths_seen, violations, slept;
	volatile int stop;
};

static struct field *field;
static u64 state;

static u32 draw(u32 below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (u32)((state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* A word without a TID is free, whatever WAITERS says, and is taken keeping it. */
static u32 acquire(bool pi)
{
	u32 *word = &at.lock->word, waiters = 0, seen;

	at.head->pending = (struct node *)((uintptr_t)&at.lock->node | (pi ? ENTRY_PI : 0));
	for (;;) {
		seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
		if (pi) {
			u32 zero = 0;
			long error;

			if (__atomic_compare_exchange_n(word, &zero, at.tid, false, __ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST)) {
				seen = 0;
				break;
			}
			error = raw_futex(word, OP_LOCK_PI, 0, 0, NULL, 0);
			if (!error) {
				seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
				break;
			}
			if (error != -EINTR && error != -EAGAIN && error != -ESRCH)
				_exit(50 - error % 40);
			continue;
		}
		if (!(seen & WORD_TID)) {
			u32 mine = at.tid | waiters | (seen & WORD_WAITERS);

			if (__atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST))
				break;
			continue;
		}
		if (!(seen & WORD_WAITERS) &&
		    !__atomic_compare_exchange_n(word, &seen, seen | WORD_WAITERS, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		field->slept++;
		raw_futex(word, OP_WAIT, seen | WORD_WAITERS, 0, NULL, 0);
		waiters = WORD_WAITERS;
	}
	at.lock->node.next = &at.head->list;
	at.head->list.next = (struct node *)((uintptr_t)&at.lock->node | (pi ? ENTRY_PI : 0));
	at.head->pending = NULL;
	return seen;
}

static void worker(int slot, const struct engine *engine)
{
	struct head *head = &field->head[slot];
	u32 tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sh->tid = tid;
	*head = (struct head){ { &head->list }, LOCK_OFFSET, NULL };
	at = (struct place){ head, &field->lock, &head->list, tid };
	raw_syscall(SYS_set_robust_list, (long)head, sizeof(*head), 0, 0, 0, 0);
	while (!field->stop) {
		u32 seen = acquire(engine->pi);

		if (seen & WORD_DIED) {
			field->deaths_seen++;
			/* Consistent again; the bit goes, WAITERS stays. */
			__atomic_fetch_and(&at.lock->word, ~WORD_DIED, __ATOMIC_SEQ_CST);
		} else if (field->inside) {
			field->violations++;
		}
		field->inside = tid;
		field->operations++;
		if (draw(8) == 0)
			sched_yield();
		if (field->inside != tid || (at.lock->word & WORD_TID) != tid)
			field->violations++;
		field->inside = 0;
		engine->run();
	}
	_exit(0);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* False when nobody gets the lock any more. */
static bool await_operations(u32 count, double patience)
{
	u32 first = field->operations;
	double last = seconds();
	u32 before = first;

	while (field->operations - first < count) {
		if (field->operations != before) {
			before = field->operations;
			last = seconds();
		} else if (seconds() - last > patience) {
			return false;
		}
		sched_yield();
	}
	return true;
}

static pid_t start(int slot, const struct engine *engine)
{
	pid_t pid;

	draw(2);
	pid = fork();
	if (!pid)
		worker(slot, engine);
	return pid;
}

/* Told to stop, each worker finishes what it does; one that sleeps on is lost. */
static bool all_end(pid_t *pids, double patience)
{
	double deadline = seconds() + patience;
	bool all = true;

	for (int i = 0; i < WORKERS; i++) {
		while (waitpid(pids[i], NULL, WNOHANG) == 0) {
			if (seconds() > deadline) {
				reap(pids[i]);
				all = false;
				break;
			}
			sched_yield();
		}
	}
	return all || patience == 0;
}

/* Number of kills done when progress ended; `kills` if it never did. */
static int soak(const struct engine *engine, int kills, double patience)
{
	pid_t pids[WORKERS];
	int done;

	memset(field, 0, sizeof(*field));
	for (int i = 0; i < WORKERS; i++)
		pids[i] = start(i, engine);
	for (done = 0; done < kills; done++) {
		int slot = draw(WORKERS);

		watchdog(120);
		if (!await_operations(draw(40), patience))
			break;
		kill(pids[slot], SIGKILL);
		waitpid(pids[slot], NULL, 0);
		pids[slot] = start(slot, engine);
	}
	field->stop = 1;
	return all_end(pids, done < kills ? 0 : patience) ? done : kills - 1;
}

int test_soak(int argc, char **argv)
{
	static const char *const with[] = { "whole_unlock", "whole_mainline", "whole_pi",
					    "whole_mainline_pi" };
	static const char *const without[] = { "whole_syscall", "whole_syscall_pi" };
	bool vdso_here;
	struct timespec now;
	int kills;

	if (argc != 3)
		bail("usage: soak vdso|novdso KILLS");
	vdso_here = !strcmp(argv[1], "vdso");
	kills = atoi(argv[2]);
	clock_gettime(CLOCK_REALTIME, &now);
	state = (u64)now.tv_nsec * 1000003 + now.tv_sec;
	note("%s seed 0x%llx (the order of events is not repeated by it)", ABI_NAME,
	     (unsigned long long)state);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	field = mmap(NULL, sizeof(*field), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED || field == MAP_FAILED)
		bail("mmap: %s", strerror(errno));

	for (int i = 0; i < (vdso_here ? 4 : 2); i++) {
		const struct engine *engine = engine_find(vdso_here ? with[i] : without[i]);
		int done;

		if (!ok(engine_present(engine), "%s %s is there", ABI_NAME, engine->name))
			continue;
		done = soak(engine, kills, 60);
		ok(done == kills && !field->violations && field->deaths_seen,
		   "%s %s: %d of %d kills, %u operations, %u waits, %u owner deaths met, %u violations",
		   ABI_NAME, engine->name, done, kills, field->operations, field->slept,
		   field->deaths_seen, field->violations);
	}
	/* The mutant: it must come to a stand, and that must be seen. */
	{
		int done = soak(engine_find("never_wakes"), kills, 3);

		ok(done < kills, "%s never_wakes is caught: a worker is left asleep (%d kills)", ABI_NAME,
		   done);
	}
	return tap_done();
}
