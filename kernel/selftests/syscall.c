// SPDX-License-Identifier: GPL-2.0
/*
 * syscall patched|stock: FUTEX_ROBUST_UNLOCK in all its uses, and what a plain
 * FUTEX_WAKE or FUTEX_UNLOCK_PI does to list_op_pending. 32-bit programs have
 * two futex system calls (time32 and time64) that take different ways through
 * the kernel and must do the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"

#define WORD sh->target.word
#define POP sh->head.pending

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
	CHECK(woken == !!sleepers && WORD == (sleepers > 1 ? WORD_WAITERS : 0) && !POP &&
	      queued(&WORD) == (sleepers ? sleepers - 1 : 0),
	      "%s | ROBUST_UNLOCK, %d asleep: returned %ld", what, sleepers, woken);
	wake_all(&WORD);
	for (int i = 0; i < sleepers; i++)
		waitpid(pids[i], NULL, 0);
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

/* The store to *pop has the width that the flags say. */
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
	refused("WAKE | ROBUST_LIST32 without ROBUST_UNLOCK", &WORD, OP_WAKE | OP_ROBUST_LIST32,
		&POP, -ENOSYS);
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
	refused("unmapped pop", &WORD, OP_WAKE | OP_ROBUST_NATIVE, hole + 4096, -EFAULT);
	refused("unmapped pop, PI", &WORD, OP_UNLOCK_PI | OP_ROBUST_NATIVE, hole + 4096, -EFAULT);
	refused("pop in the kernel's half", &WORD, OP_WAKE | OP_ROBUST_NATIVE, (void *)-4096l, -EFAULT);
	munmap(hole, 4096);
}

/*
 * It can be read, but not cleared: that has to be known before the release. The
 * control is the same call when nothing is wrong with it but the protection.
 */
static void read_only_pop(int op, bool pi)
{
	struct node **pop = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result;

	*pop = entry(pi ? ENTRY_PI : 0);
	mprotect(pop, 4096, PROT_READ);
	refused("read-only pop", &WORD, op | OP_ROBUST_NATIVE, pop, -EFAULT);
	ok(*pop == entry(pi ? ENTRY_PI : 0), "%s %s op %d leaves a read-only pop as it is", ABI_NAME,
	   call_name, op);
	mprotect(pop, 4096, PROT_READ | PROT_WRITE);
	arrange(me, NULL);
	result = futex(&WORD, op | OP_ROBUST_NATIVE, 1, pop, ~0u);
	CHECK(!result && !WORD && !*pop, "op %d, the same pop writable: %ld", op, result);
	munmap(pop, 4096);
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
	      entry(ENTRY_NEED_ACTION), series);
	plain("WAKE before the release", &WORD, OP_WAKE, me, entry(0), false);
	plain("WAKE of another futex", &sh->other_futex, OP_WAKE, 0, entry(ENTRY_NEED_ACTION), false);
	plain("WAKE of a futex outside", &elsewhere, OP_WAKE, 0, entry(ENTRY_NEED_ACTION), false);
	plain("WAKE with nothing pending but the bit", &WORD, OP_WAKE, 0,
	      (struct node *)ENTRY_NEED_ACTION, false);
	plain("UNLOCK_PI of the pending lock", &WORD, OP_UNLOCK_PI, me,
	      entry(ENTRY_PI | ENTRY_NEED_ACTION), series);
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

static void series(void)
{
	for (int sleepers = 0; sleepers <= 2; sleepers++) {
		flagged_wake("WAKE", OP_WAKE, sleepers);
		flagged_wake("WAKE_BITSET", OP_WAKE_BITSET, sleepers);
	}
	flagged_unlock_pi();
	pop_width(OP_WAKE, OP_ROBUST_UNLOCK | OP_ROBUST_LIST32, false);
	pop_width(OP_UNLOCK_PI, OP_ROBUST_UNLOCK | OP_ROBUST_LIST32, true);
	if (sizeof(long) == 8) {
		pop_width(OP_WAKE, OP_ROBUST_UNLOCK, false);
		pop_width(OP_UNLOCK_PI, OP_ROBUST_UNLOCK, true);
	}
	bad_arguments();
	read_only_pop(OP_WAKE, false);
	read_only_pop(OP_WAKE_BITSET, false);
	read_only_pop(OP_UNLOCK_PI, true);
	clearing(true);
	hostile_heads();
}

int test_syscall(int argc, char **argv)
{
	if (argc != 2)
		bail("usage: syscall patched|stock");
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
		if (strcmp(argv[1], "stock"))
			series();
		else
			stock();
	}
	return tap_done();
}
