// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>

#include "engine.h"
#include "vdso.h"

#define SET(place, value) (*(volatile __typeof__(place) *)&(place) = (value))

struct shared *sh;
struct place at;

static void begin(bool pi)
{
	SET(at.head->pending, (struct node *)((uintptr_t)&at.lock->node | (pi ? ENTRY_PI : 0)));
	SET(at.head->list.next, at.rest);
}

static void end(void)
{
	SET(at.head->pending, NULL);
}

/* What a caller does with FUTEX_UNLOCK_PI: again on EAGAIN, no clear on failure. */
static long unlock_pi(int flags, void *pop)
{
	long error;

	do {
		error = raw_futex(&at.lock->word, OP_UNLOCK_PI | flags, 0, 0, pop, 0);
	} while (error == -EAGAIN);
	return error;
}

/* The functions alone; the list is already as begin() leaves it. */

static void function_unlock(void)
{
	sh->result = vdso.unlock(&at.lock->word, at.head);
}

static void function_pi(void)
{
	u32 expected = at.tid;

	sh->result = vdso.pi_try_unlock(&at.lock->word, &expected, at.head);
}

static u32 mainline_try(void)
{
	if (sizeof(long) == 8)
		return vdso.list64(&at.lock->word, at.tid, (u64 *)&at.head->pending);
	return vdso.list32(&at.lock->word, at.tid, (u32 *)&at.head->pending);
}

static void function_mainline(void)
{
	sh->result = mainline_try();
}

/* With an expectation that does not hold. */

static void refused_pi(void)
{
	u32 expected = 0;

	sh->result = vdso.pi_try_unlock(&at.lock->word, &expected, at.head);
}

static void refused_mainline(void)
{
	if (sizeof(long) == 8)
		sh->result = vdso.list64(&at.lock->word, 0, (u64 *)&at.head->pending);
	else
		sh->result = vdso.list32(&at.lock->word, 0, (u32 *)&at.head->pending);
}

/* The whole sequences. */

static void whole_unlock(void)
{
	begin(false);
	if (vdso.unlock(&at.lock->word, at.head) & WORD_WAITERS) {
		sh->result = raw_futex(&at.lock->word, OP_WAKE, 1, 0, NULL, 0);
		/* A sandbox refused: the wake is still owed, so is the entry. */
		if (sh->result < 0)
			return;
	}
	end();
}

static void whole_pi(void)
{
	u32 expected = at.tid;

	begin(true);
	while (!vdso.pi_try_unlock(&at.lock->word, &expected, at.head)) {
		if ((expected & WORD_WAITERS) || (expected & WORD_TID) != at.tid) {
			sh->result = unlock_pi(0, NULL);
			if (sh->result)
				return;
			break;
		}
	}
	end();
}

static void whole_mainline(void)
{
	begin(false);
	if (mainline_try() != at.tid)
		sh->result = raw_futex(&at.lock->word, OP_WAKE | OP_ROBUST_NATIVE, 1, 0,
				       &at.head->pending, 0);
}

static void whole_mainline_pi(void)
{
	begin(true);
	if (mainline_try() != at.tid)
		sh->result = unlock_pi(OP_ROBUST_NATIVE, &at.head->pending);
}

static void whole_syscall(void)
{
	begin(false);
	sh->result = raw_futex(&at.lock->word, OP_WAKE | OP_ROBUST_NATIVE, 1, 0,
			       &at.head->pending, 0);
}

static void whole_bitset(void)
{
	begin(false);
	sh->result = raw_futex(&at.lock->word, OP_WAKE_BITSET | OP_ROBUST_NATIVE, 1, 0,
			       &at.head->pending, ~0u);
}

static void whole_syscall_pi(void)
{
	begin(true);
	sh->result = unlock_pi(OP_ROBUST_NATIVE, &at.head->pending);
}

/* What a libc does with a PI futex that is contended: no vDSO, no flag. */
static void plain_pi(void)
{
	begin(true);
	sh->result = unlock_pi(0, NULL);
	end();
}

/* The mutants: the same steps in code that no kernel knows. */

static void local_unlock(void)
{
	u32 old;

	begin(false);
	old = __atomic_exchange_n(&at.lock->word, 0, __ATOMIC_SEQ_CST);
	if (old & WORD_WAITERS)
		sh->result = raw_futex(&at.lock->word, OP_WAKE, 1, 0, NULL, 0);
	end();
}

static void local_pi(void)
{
	u32 expected = at.tid;

	begin(true);
	if (!__atomic_compare_exchange_n(&at.lock->word, &expected, 0, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		sh->result = unlock_pi(0, NULL);
	end();
}

/* Forgets the lock before it lets go of it: loses the lock, strands sleepers. */
static void forgetful(void)
{
	u32 old;

	begin(false);
	end();
	old = __atomic_exchange_n(&at.lock->word, 0, __ATOMIC_SEQ_CST);
	if (old & WORD_WAITERS)
		sh->result = raw_futex(&at.lock->word, OP_WAKE, 1, 0, NULL, 0);
}

/* Releases, and tells nobody. */
static void never_wakes(void)
{
	begin(false);
	__atomic_exchange_n(&at.lock->word, 0, __ATOMIC_SEQ_CST);
	end();
}

const struct engine engines[] = {
	{ "function_unlock", false, false, true, function_unlock, false, false },
	{ "function_pi", true, false, true, function_pi, false, false },
	{ "function_mainline", false, false, true, function_mainline, false, false },
	{ "foreign_unlock", false, false, true, function_unlock, true, false },
	{ "foreign_pi", true, false, true, function_pi, true, false },
	{ "foreign_mainline", false, false, true, function_mainline, true, false },
	{ "refused_pi", true, false, true, refused_pi, false, true },
	{ "refused_mainline", false, false, true, refused_mainline, false, true },
	{ "whole_unlock", false, true, true, whole_unlock, false, false },
	{ "whole_pi", true, true, true, whole_pi, false, false },
	{ "whole_mainline", false, true, true, whole_mainline, false, false },
	{ "whole_mainline_pi", true, true, true, whole_mainline_pi, false, false },
	{ "whole_syscall", false, true, false, whole_syscall, false, false },
	{ "whole_bitset", false, true, false, whole_bitset, false, false },
	{ "whole_syscall_pi", true, true, false, whole_syscall_pi, false, false },
	{ "plain_pi", true, true, false, plain_pi, false, false },
	{ "local_unlock", false, true, false, local_unlock, false, false },
	{ "local_pi", true, true, false, local_pi, false, false },
	{ "forgetful", false, true, false, forgetful, false, false },
	{ "never_wakes", false, true, false, never_wakes, false, false },
};
const int engine_count = sizeof(engines) / sizeof(engines[0]);

const struct engine *engine_find(const char *name)
{
	for (int i = 0; i < engine_count; i++) {
		if (!strcmp(engines[i].name, name))
			return &engines[i];
	}
	return NULL;
}

bool engine_present(const struct engine *engine)
{
	if (engine->run == function_unlock || engine->run == whole_unlock)
		return vdso.unlock;
	if (engine->run == function_pi || engine->run == whole_pi || engine->run == refused_pi)
		return vdso.pi_try_unlock;
	if (engine->in_vdso)
		return sizeof(long) == 8 ? vdso.list64 != NULL : vdso.list32 != NULL;
	return true;
}

bool engine_is_mutant(const struct engine *engine)
{
	return engine->run == local_unlock || engine->run == local_pi ||
	       engine->run == forgetful || engine->run == never_wakes;
}
