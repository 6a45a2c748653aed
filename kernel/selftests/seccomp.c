// SPDX-License-Identifier: GPL-2.0
/*
 * seccomp vdso|novdso: a sandbox that refuses futex system calls. The flagged
 * unlock then fails with the sandbox's error and has changed nothing; a lock
 * that the vDSO released stays released, and the wake that could not be made
 * is made when the task ends, also when the sandbox is what ends it.
 * seccomp complete: the functions of the series for 7.3, which make the flagged
 * system call themselves, where a sandbox refuses that one alone. Whatever error it
 * has for it, the lock is released, and a waiter wakes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "vdso.h"
#include "waiters.h"

/* What the vDSO calls. The x32 one is made of 64-bit code, with 64-bit system calls. */
#ifdef SYS_futex_time64
#define VDSO_FUTEX SYS_futex_time64
#else
#define VDSO_FUTEX (SYS_futex & ~0x40000000)
#endif

static bool refuse_futex(u32 action, bool only_flagged)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VDSO_FUTEX, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | (only_flagged ? BPF_JSET : BPF_JGE) | BPF_K,
			 only_flagged ? OP_ROBUST_UNLOCK : 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

/* Takes the lock under a sandbox, unlocks with the engine, and ends. */
static void locker(const struct engine *engine, u32 action, bool only_flagged, bool waiters)
{
	bool pi = engine->pi;

	sh->tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	at = (struct place){ &sh->head, &sh->target, &sh->held.node, sh->tid };
	sh->held.word = sh->tid;
	sh->target.word = sh->tid | (waiters && !pi ? WORD_WAITERS : 0);
	sh->head.futex_offset = LOCK_OFFSET;
	sh->held.node.next = &sh->head.list;
	sh->target.node.next = &sh->held.node;
	sh->head.list.next = (struct node *)((uintptr_t)&sh->target.node | (pi ? ENTRY_PI : 0));
	raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0);
	sh->waiting[1] = 1;
	while (!sh->go)
		raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	if (!refuse_futex(action, only_flagged))
		_exit(9);
	sh->result = 4242;
	engine->run();
	sh->done = 1;
	sh->left_word = sh->target.word;
	sh->left_pending = (uintptr_t)sh->head.pending;
	raw_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
}

/* Returns how many still slept when the locker had ended. */
static int play(const struct engine *engine, u32 action, bool only_flagged, bool waiters, int *status)
{
	bool pi = engine->pi;
	pid_t pid, waiter = 0;
	int left = 0;

	memset(sh, 0, sizeof(*sh));
	pid = fork();
	if (!pid)
		locker(engine, action, only_flagged, waiters);
	while (!sh->waiting[1])
		raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	if (waiters && pi) {
		waiter = start_pi_waiter(0, &sh->target.word, 0);
		await_pi_blocked(waiter, 0);
	} else if (waiters) {
		waiter = start_waiter(0, &sh->target.word);
		await_queued(&sh->target.word, 1);
	}
	sh->go = 1;
	waitpid(pid, status, 0);
	if (waiters && !pi)
		left = wake_all(&sh->target.word);
	if (waiters)
		waitpid(waiter, NULL, 0);
	return left;
}

static void run(const struct engine *engine, u32 action, const char *what, bool waiters)
{
	bool pi = engine->pi, kills = action == SECCOMP_RET_KILL_PROCESS;
	int status, left = play(engine, action, false, waiters, &status);
	bool good;

	good = !left && sh->held.word == WORD_DIED;
	good = good && (kills ? WIFSIGNALED(status) && !sh->done : WIFEXITED(status) && sh->done);
	if (pi && waiters)
		good = good && sh->acquired == 1;
	if (!kills)
		good = good && sh->result == -EPERM;
	if (!engine->in_vdso) {
		/* Nothing was changed, so the lock was still held at death. */
		if (!kills)
			good = good && (sh->left_word & WORD_TID) == sh->tid;
		if (waiters && pi)
			good = good && (sh->seen[0] & WORD_DIED);
		else
			good = good && (sh->target.word & WORD_DIED);
	} else if (!pi) {
		/* Released, and not taken back. */
		good = good && sh->target.word == 0 &&
		       (kills || (sh->left_pending & ENTRY_NEED_ACTION));
	}
	/* The mutant must be seen leaving the sleeper behind. */
	if (engine == engine_find("forgetful"))
		good = left == 1 && sh->target.word == 0;
	ok(good, "%s %s, futex %s, %s: result %ld, word %x, in the end word %x, %d still asleep",
	   ABI_NAME, engine->name, what, waiters ? "one asleep" : "none asleep", sh->result,
	   sh->left_word, sh->target.word, left);
	if (!good)
		note("left %d held %x done %d status %x seen %x acquired %u", left, sh->held.word,
		     sh->done, status, sh->seen[0], sh->acquired);
}

static void run_complete(const struct engine *engine, int error)
{
	int status, left = play(engine, SECCOMP_RET_ERRNO | error, true, true, &status);
	/* The call that the caller makes then wakes one, or hands the lock on. */
	bool good = !left && WIFEXITED(status) && sh->done && sh->result == !engine->pi &&
		    sh->held.word == WORD_DIED && !sh->left_pending && !sh->target.word;

	/* The woken process sleeps once and takes nothing, unlike the PI waiter. */
	if (engine->pi)
		good = good && sh->acquired == 1 && !(sh->seen[0] & WORD_DIED);
	else
		good = good && sh->left_word == 0;
	ok(good, "%s %s, flagged futex refused with %d, one asleep: result %ld, word %x, pending %llx, "
	   "in the end word %x, %d still asleep", ABI_NAME, engine->name, error, sh->result,
	   sh->left_word, (unsigned long long)sh->left_pending, sh->target.word, left);
}

static int test_complete(void)
{
	static const char *const names[] = { "whole_unlock", "whole_pi" };
	static const int errors[] = { EPERM, ENOSYS, EINVAL, EFAULT };

	for (int i = 0; i < 2; i++) {
		const struct engine *engine = engine_find(names[i]);

		if (!ok(engine_present(engine), "%s %s is there", ABI_NAME, names[i]))
			continue;
		for (int e = 0; e < 4; e++)
			run_complete(engine, errors[e]);
	}
	/* The mutant must be seen leaving the sleeper behind. */
	run(engine_find("forgetful"), SECCOMP_RET_ERRNO | EPERM, "refused", true);
	return tap_done();
}

int test_seccomp(int argc, char **argv)
{
	static const char *const with[] = { "whole_unlock", "whole_mainline", "whole_pi" };
	static const char *const without[] = { "whole_syscall", "whole_syscall_pi" };
	bool vdso_here;

	if (argc != 2)
		bail("usage: seccomp vdso|novdso|complete");
	vdso_here = !strcmp(argv[1], "vdso");
	trial_setup();
	if (!strcmp(argv[1], "complete"))
		return test_complete();
	for (int i = 0; vdso_here && i < 3; i++) {
		const struct engine *engine = engine_find(with[i]);

		if (!ok(engine_present(engine), "%s %s is there", ABI_NAME, with[i]))
			continue;
		/* A lock that cannot be released is held until death: whole_mainline
		 * with sleepers is of the system call's kind. */
		if (strcmp(with[i], "whole_mainline")) {
			run(engine, SECCOMP_RET_ERRNO | EPERM, "refused", true);
			run(engine, SECCOMP_RET_KILL_PROCESS, "deadly", true);
		}
	}
	for (int i = 0; i < 2; i++) {
		const struct engine *engine = engine_find(without[i]);

		for (int waiters = 0; waiters < 2; waiters++) {
			run(engine, SECCOMP_RET_ERRNO | EPERM, "refused", waiters);
			run(engine, SECCOMP_RET_KILL_PROCESS, "deadly", waiters);
		}
	}
	run(engine_find("forgetful"), SECCOMP_RET_ERRNO | EPERM, "refused", true);
	run(engine_find("forgetful"), SECCOMP_RET_KILL_PROCESS, "deadly", true);
	return tap_done();
}
