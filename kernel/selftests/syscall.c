// SPDX-License-Identifier: GPL-2.0
/*
 * syscall patched|patched-um|mainline|patched-7.3|stock: FUTEX_ROBUST_UNLOCK in all its
 * uses, which is the same with the series for 6.12 (`patched`; `patched-um` in User Mode
 * Linux) and on Linux 7.2 and 7.3, as they are (`mainline`) or with the series for 7.3; and
 * what a plain FUTEX_WAKE or FUTEX_UNLOCK_PI does to list_op_pending, which only the series
 * for 6.12 on x86 clears. 32-bit programs have two futex system calls (time32 and time64)
 * that take different ways through the kernel and must do the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "waiters.h"

#define WORD sh->target.word
#define POP sh->head.pending

static bool mainline;		/* Linux 7.2 or 7.3, with or without a series */
static bool generic;		/* the series for 6.12 without x86's NEED_ACTION */
static bool strict;		/* FUTEX_ROBUST_LIST32 alone is refused */
static long futex_number;
static const char *call_name;
static u32 me;

static long futex(u32 *word, int op, u32 val, void *word2, u32 val3)
{
	return raw_syscall(futex_number, (long)word, op, (long)val, 0, (long)word2, (long)val3);
}

static struct node *entry(uintptr_t bits)
{
	return (struct node *)((uintptr_t)&sh->target.node | bits);
}

static void arrange(u32 word, struct node *pending)
{
	sh->head.list.next = &sh->head.list;
	sh->head.futex_offset = LOCK_OFFSET;
	sh->head.pending = pending;
	sh->other_futex = 0;
	WORD = word;
	memset((void *)sh->waiting, 0, sizeof(sh->waiting));
	sh->acquired = 0;
}

#define CHECK(good, format, ...) \
	ok(good, "%s %s " format ": word %x, pending entry%+lld", ABI_NAME, call_name, \
	   ##__VA_ARGS__, WORD, (long long)((uintptr_t)POP - (uintptr_t)&sh->target.node))

/* Sleepers, the call, and what is left. */
static void flagged_wake(const char *what, int op, int sleepers)
{
	pid_t pids[2];
	long woken;

	arrange(me | (sleepers ? WORD_WAITERS : 0), entry(0));
	for (int i = 0; i < sleepers; i++)
		pids[i] = start_waiter(i, &WORD);
	await_queued(&WORD, sleepers);
	woken = futex(&WORD, op | OP_ROBUST_NATIVE, 1, &POP, ~0u);
	CHECK(woken == !!sleepers && !WORD && !POP &&
	      queued(&WORD) == (sleepers ? sleepers - 1 : 0),
	      "%s | ROBUST_UNLOCK, %d asleep: returned %ld", what, sleepers, woken);
	wake_all(&WORD);
	for (int i = 0; i < sleepers; i++)
		waitpid(pids[i], NULL, 0);
}

/*
 * Takes the lock as glibc does, which sleeps on any word but 0, also on one with
 * nothing but WAITERS; then releases it by the flagged call, and ends.
 */
static pid_t start_libc_waiter(int slot, int op)
{
	u32 waiters = 0, tid, seen;
	struct node *pop;
	pid_t pid = fork();

	if (pid)
		return pid;
	tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	sh->waiting[slot] = 1;
	for (;;) {
		seen = __atomic_load_n(&WORD, __ATOMIC_SEQ_CST);
		if (!seen) {
			if (__atomic_compare_exchange_n(&WORD, &seen, tid | waiters, false,
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				break;
			continue;
		}
		if (!(seen & WORD_WAITERS) &&
		    !__atomic_compare_exchange_n(&WORD, &seen, seen | WORD_WAITERS, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		waiters = WORD_WAITERS;
		raw_futex(&WORD, OP_WAIT, seen | WORD_WAITERS, 0, NULL, 0);
	}
	__atomic_fetch_add(&sh->acquired, 1, __ATOMIC_SEQ_CST);
	pop = entry(0);
	_exit(futex(&WORD, op | OP_ROBUST_NATIVE, 1, &pop, ~0u) < 0);
}

static void libc_waiters(const char *what, int op)
{
	pid_t pids[MAX_WAITERS];
	bool awake;

	arrange(me, entry(0));
	for (int i = 0; i < MAX_WAITERS; i++)
		pids[i] = start_libc_waiter(i, op);
	await_queued(&WORD, MAX_WAITERS);
	futex(&WORD, op | OP_ROBUST_NATIVE, 1, &POP, ~0u);
	/* A waker wakes before it ends: once all sleep or have ended, it stays so. */
	do {
		awake = false;
		sched_yield();
		for (int i = 0; i < MAX_WAITERS; i++)
			awake = awake || !strchr("SZ", state_of(pids[i]));
	} while (awake);
	CHECK(sh->acquired == MAX_WAITERS && !WORD, "%s | ROBUST_UNLOCK, waiters by glibc's rules: "
	      "%u of %d got the lock", what, sh->acquired, MAX_WAITERS);
	for (int i = 0; i < MAX_WAITERS; i++)
		reap(pids[i]);
}

static void flagged_unlock_pi(void)
{
	pid_t pid;
	long result;

	arrange(me, entry(ENTRY_PI));
	result = futex(&WORD, OP_UNLOCK_PI | OP_ROBUST_NATIVE, 0, &POP, 0);
	CHECK(!result && !WORD && !POP, "UNLOCK_PI | ROBUST_UNLOCK alone: %ld", result);

	arrange(me, entry(ENTRY_PI));
	pid = start_pi_waiter(0, &WORD, 0);
	await_pi_blocked(pid, 0);
	result = futex(&WORD, OP_UNLOCK_PI | OP_ROBUST_NATIVE, 0, &POP, 0);
	waitpid(pid, NULL, 0);
	CHECK(!result && !WORD && !POP && sh->acquired == 1 && !(sh->seen[0] & WORD_DIED),
	      "UNLOCK_PI | ROBUST_UNLOCK, one asleep: %ld", result);

	arrange(me + 1, entry(ENTRY_PI));
	result = futex(&WORD, OP_UNLOCK_PI | OP_ROBUST_NATIVE, 0, &POP, 0);
	CHECK(result == -EPERM && WORD == me + 1 && POP == entry(ENTRY_PI),
	      "UNLOCK_PI | ROBUST_UNLOCK, not owner: %ld", result);
}

/* The store to *pop has the width that the flags say, whatever the program's. */
static void pop_width(int op, int flags, bool pi)
{
	u64 pop = 0x1122334455667788ull;
	bool narrow = flags & OP_ROBUST_LIST32;
	long result;

	arrange(me, NULL);
	result = futex(&WORD, op | flags, pi ? 0 : 1, &pop, ~0u);
	CHECK(!result && !WORD && pop == (narrow ? 0x1122334400000000ull : 0),
	      "op %d flags %d writes %d bytes: %ld, pop %llx", op, flags, narrow ? 4 : 8, result,
	      (unsigned long long)pop);
}

static void refused(const char *what, u32 *word, int op, void *pop, long error)
{
	long result;

	arrange(me, entry(0));
	result = futex(word, op, 1, pop, ~0u);
	CHECK(result == error && WORD == me && POP == entry(0), "%s: %ld", what, result);
}

/*
 * Found out after the release: EFAULT, and the word is free nevertheless. The series
 * wakes the waiters, 7.2 does not.
 */
static void bad_pop(const char *what, int op, void *pop)
{
	int sleepers = op == OP_UNLOCK_PI ? 0 : 1;
	pid_t pid = 0;
	long result;
	int left;

	arrange(me | (sleepers ? WORD_WAITERS : 0), entry(0));
	if (sleepers)
		pid = start_waiter(0, &WORD);
	await_queued(&WORD, sleepers);
	result = futex(&WORD, op | OP_ROBUST_NATIVE, 1, pop, ~0u);
	left = queued(&WORD);
	CHECK(result == -EFAULT && !WORD && POP == entry(0) && left == (mainline ? sleepers : 0),
	      "op %d, %s: %ld, %d left asleep", op, what, result, left);
	wake_all(&WORD);
	if (pid)
		waitpid(pid, NULL, 0);
}

static void *list_head(void)
{
	void *head = NULL;
	size_t size;

	raw_syscall(SYS_get_robust_list, 0, (long)&head, (long)&size, 0, 0, 0);
	return head;
}

/* The list whose pending entry would now name a word that was released is given up. */
static void bad_registered_pop(void)
{
	struct head *head = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result;

	*head = (struct head){ { &head->list }, LOCK_OFFSET, entry(0) };
	mprotect(head, 4096, PROT_READ);
	raw_syscall(SYS_set_robust_list, (long)head, sizeof(*head), 0, 0, 0, 0);
	arrange(me, NULL);
	/* One that is somebody else's changes nothing. */
	result = futex(&WORD, OP_WAKE | OP_ROBUST_NATIVE, 1, (void *)-4096l, ~0u);
	ok(result == -EFAULT && list_head() == head, "%s %s a bad pop of no list of ours: %ld",
	   ABI_NAME, call_name, result);
	WORD = me;
	result = futex(&WORD, OP_WAKE | OP_ROBUST_NATIVE, 1, &head->pending, ~0u);
	ok(result == -EFAULT && !WORD && !list_head(),
	   "%s %s a read-only list_op_pending: %ld, the list is %s", ABI_NAME, call_name, result,
	   list_head() ? "kept" : "given up");
	raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0);
	munmap(head, 4096);
}

/* FUTEX_WAKE for a word that a PI waiter sleeps on: released, and then refused. */
static void wake_of_pi(void)
{
	pid_t pid;
	long result;

	arrange(me, entry(0));
	pid = start_pi_waiter(0, &WORD, 0);
	await_pi_blocked(pid, 0);
	result = futex(&WORD, OP_WAKE | OP_ROBUST_NATIVE, 1, &POP, ~0u);
	CHECK(result == -EINVAL && !WORD && !POP, "WAKE | ROBUST_UNLOCK with a PI waiter: %ld", result);
	WORD = me | WORD_WAITERS;
	futex(&WORD, OP_UNLOCK_PI, 0, NULL, 0);
	waitpid(pid, NULL, 0);
}

static void bad_arguments(void)
{
	static const int others[] = { 0, 3, 4, 5, 6, 8, 9, 11, 12, 13 };
	char *hole = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u32 pair[2] = { 0 };
	bool all = true;
	long result;

	for (unsigned int i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		arrange(me, entry(0));
		result = futex(&WORD, others[i] | OP_ROBUST_NATIVE, 1, &POP, 1);
		if (result != -ENOSYS || WORD != me || POP != entry(0)) {
			note("op %d | ROBUST_UNLOCK: %ld", others[i], result);
			all = false;
		}
	}
	ok(all, "%s %s ROBUST_UNLOCK on any other operation: ENOSYS", ABI_NAME, call_name);
	arrange(me, entry(0));
	result = futex(&WORD, OP_WAKE | OP_ROBUST_LIST32, 1, &POP, 0);
	CHECK(result == (strict ? -ENOSYS : 0) && WORD == me && POP == entry(0),
	      "WAKE | ROBUST_LIST32 without ROBUST_UNLOCK: %ld", result);
	refused("unaligned word", (u32 *)((char *)&WORD + 1), OP_WAKE | OP_ROBUST_NATIVE, &POP,
		-EINVAL);
	/* One that holds the TID: a word of another is refused before it is judged. */
	memcpy((char *)pair + 2, &me, sizeof(me));
	refused("unaligned word, PI", (u32 *)((char *)pair + 2), OP_UNLOCK_PI | OP_ROBUST_NATIVE,
		&POP, -EINVAL);
	refused("unaligned word, plain UNLOCK_PI", (u32 *)((char *)pair + 2), OP_UNLOCK_PI, NULL,
		-EINVAL);
	ok(!memcmp((char *)pair + 2, &me, sizeof(me)), "%s %s an unaligned word is left as it is",
	   ABI_NAME, call_name);
	munmap(hole + 4096, 4096);
	refused("unmapped word", (u32 *)(hole + 4096), OP_WAKE | OP_ROBUST_NATIVE, &POP, -EFAULT);
	refused("read-only word", (u32 *)hole, OP_WAKE | OP_ROBUST_NATIVE, &POP, -EFAULT);
	refused("unmapped word, PI", (u32 *)(hole + 4096), OP_UNLOCK_PI | OP_ROBUST_NATIVE, &POP,
		-EFAULT);
	bad_pop("unmapped pop", OP_WAKE, hole + 4096);
	bad_pop("unmapped pop", OP_WAKE_BITSET, hole + 4096);
	bad_pop("unmapped pop", OP_UNLOCK_PI, hole + 4096);
	bad_pop("read-only pop", OP_WAKE, hole);
	bad_pop("read-only pop", OP_UNLOCK_PI, hole);
	bad_pop("pop in the kernel's half", OP_WAKE, (void *)-4096l);
	munmap(hole, 4096);
}

/* A plain wake: `clears` is what the series promises for this pending entry. */
static void plain(const char *what, u32 *target, int op, u32 word, struct node *pending, bool clears)
{
	long result;

	arrange(word, pending);
	result = futex(target, op, 1, NULL, ~0u);
	CHECK(result >= 0 && WORD == (op == OP_UNLOCK_PI ? 0 : word) &&
	      POP == (clears ? NULL : pending), "%s: %ld", what, result);
}

static void clearing(bool series)
{
	long result;
	u32 elsewhere = 0;

	plain("WAKE of the pending lock", &WORD, OP_WAKE, 0, entry(ENTRY_NEED_ACTION), series);
	plain("WAKE of the pending lock, taken meanwhile", &WORD, OP_WAKE, me + 1,
	      entry(ENTRY_NEED_ACTION), series);
	plain("private WAKE of the pending lock", &WORD, OP_WAKE | OP_PRIVATE, 0,
	      entry(ENTRY_NEED_ACTION), false);
	plain("WAKE before the release", &WORD, OP_WAKE, me, entry(0), false);
	plain("WAKE of another futex", &sh->other_futex, OP_WAKE, 0, entry(ENTRY_NEED_ACTION), false);
	plain("WAKE of a futex outside", &elsewhere, OP_WAKE, 0, entry(ENTRY_NEED_ACTION), false);
	plain("WAKE with nothing pending but the bit", &WORD, OP_WAKE, 0,
	      (struct node *)ENTRY_NEED_ACTION, false);
	plain("UNLOCK_PI of the pending lock", &WORD, OP_UNLOCK_PI, me,
	      entry(ENTRY_PI | ENTRY_NEED_ACTION), series);
	plain("UNLOCK_PI of the pending lock by a libc", &WORD, OP_UNLOCK_PI, me, entry(ENTRY_PI),
	      series);
	plain("UNLOCK_PI of a lock that is pending as a plain one", &WORD, OP_UNLOCK_PI, me, entry(0),
	      false);
	plain("UNLOCK_PI of a lock that is not pending", &WORD, OP_UNLOCK_PI, me,
	      (struct node *)((uintptr_t)&sh->held.node | ENTRY_PI | ENTRY_NEED_ACTION), false);
	arrange(me + 1, entry(ENTRY_PI | ENTRY_NEED_ACTION));
	result = futex(&WORD, OP_UNLOCK_PI, 0, NULL, 0);
	CHECK(result == -EPERM && POP == entry(ENTRY_PI | ENTRY_NEED_ACTION),
	      "UNLOCK_PI, not owner: %ld", result);
}

/* A wake must not care what the registered head looks like. */
static void hostile_heads(void)
{
	char *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct head *const heads[] = {
		(struct head *)hole, (struct head *)(hole + 1), (struct head *)-4096l,
		(struct head *)(hole + 4096 - sizeof(long)), NULL,
	};
	bool all = true;

	for (unsigned int i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		raw_syscall(SYS_set_robust_list, (long)heads[i], sizeof(struct head), 0, 0, 0, 0);
		arrange(me, entry(ENTRY_NEED_ACTION));
		all = all && futex(&WORD, OP_WAKE, 1, NULL, 0) == 0 && WORD == me &&
		      POP == entry(ENTRY_NEED_ACTION) &&
		      futex(&WORD, OP_UNLOCK_PI, 0, NULL, 0) == 0 && WORD == 0 &&
		      POP == entry(ENTRY_NEED_ACTION);
	}
	ok(all, "%s %s with a head that cannot be read: as with none", ABI_NAME, call_name);
	raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0);
	munmap(hole, 4096);
}

static void stock(void)
{
	refused("WAKE | ROBUST_UNLOCK", &WORD, OP_WAKE | OP_ROBUST_NATIVE, &POP, -ENOSYS);
	refused("WAKE_BITSET | ROBUST_UNLOCK", &WORD, OP_WAKE_BITSET | OP_ROBUST_NATIVE, &POP,
		-ENOSYS);
	refused("UNLOCK_PI | ROBUST_UNLOCK", &WORD, OP_UNLOCK_PI | OP_ROBUST_NATIVE, &POP, -ENOSYS);
	clearing(false);
}

static void flagged(void)
{
	for (int sleepers = 0; sleepers <= 2; sleepers++) {
		flagged_wake("WAKE", OP_WAKE, sleepers);
		flagged_wake("WAKE_BITSET", OP_WAKE_BITSET, sleepers);
	}
	libc_waiters("WAKE", OP_WAKE);
	libc_waiters("WAKE_BITSET", OP_WAKE_BITSET);
	flagged_unlock_pi();
	wake_of_pi();
	pop_width(OP_WAKE, OP_ROBUST_UNLOCK | OP_ROBUST_LIST32, false);
	pop_width(OP_UNLOCK_PI, OP_ROBUST_UNLOCK | OP_ROBUST_LIST32, true);
	pop_width(OP_WAKE, OP_ROBUST_UNLOCK, false);
	pop_width(OP_UNLOCK_PI, OP_ROBUST_UNLOCK, true);
	bad_arguments();
	bad_registered_pop();
}

int test_syscall(int argc, char **argv)
{
	if (argc != 2)
		bail("usage: syscall patched|patched-um|mainline|patched-7.3|stock");
	strict = !strcmp(argv[1], "patched-7.3");
	generic = !strcmp(argv[1], "patched-um");
	mainline = strict || !strcmp(argv[1], "mainline");
	trial_setup();
	me = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	if (raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0))
		bail("set_robust_list");
	for (int second = 0; second < 2; second++) {
		futex_number = SYS_futex;
		call_name = "futex";
		if (second) {
#ifdef SYS_futex_time64
			futex_number = SYS_futex_time64;
			call_name = "futex_time64";
#else
			break;
#endif
		}
		if (!strcmp(argv[1], "stock")) {
			stock();
			continue;
		}
		flagged();
		if (generic)
			continue;
		clearing(!mainline);
		if (!mainline)
			hostile_heads();
	}
	return tap_done();
}
