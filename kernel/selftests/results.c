// SPDX-License-Identifier: GPL-2.0
/*
 * results [complete]: what each vDSO function returns, and what it leaves in the
 * word, in list_op_pending and in *expected, for every kind of word. Called
 * straight; nothing is killed and the head need not be registered. `complete`: the
 * functions of the series for 7.3, which make the system call themselves and never
 * set ENTRY_NEED_ACTION. That call refuses a PI futex whose owner is not the caller.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
#include "tap.h"
#include "tests.h"
#include "vdso.h"

#define ME 0x00001234u
#define OTHER 0x00000777u

static struct lock lock;
static struct head head;
static bool complete;

static void arrange(u32 word, uintptr_t bits)
{
	lock = (struct lock){ GUARD, word, GUARD, GUARD, { NULL } };
	head = (struct head){ { &head.list }, LOCK_OFFSET,
			      (struct node *)((uintptr_t)&lock.node | bits) };
}

static bool untouched(void)
{
	return lock.before == GUARD && lock.after == GUARD && lock.pad == GUARD &&
	       head.list.next == &head.list && head.futex_offset == LOCK_OFFSET;
}

static bool pending_is(uintptr_t value)
{
	return (uintptr_t)head.pending == value;
}

static void unlock_case(const char *what, u32 word)
{
	uintptr_t entry = (uintptr_t)&lock.node;
	u32 old;

	arrange(word, 0);
	old = vdso.unlock(&lock.word, &head);
	ok(old == (complete ? word & ~WORD_WAITERS : word) && lock.word == 0 && untouched() &&
	   pending_is(word & WORD_WAITERS && !complete ? entry | ENTRY_NEED_ACTION : 0),
	   "%s unlock, %s: returned %x, word %x, pending entry%+lld", ABI_NAME, what, old,
	   lock.word, (long long)((uintptr_t)head.pending - entry));
}

static void pi_case(const char *what, u32 word, u32 expect)
{
	uintptr_t entry = (uintptr_t)&lock.node | ENTRY_PI;
	bool match = word == expect && !(complete && word & WORD_WAITERS);
	u32 expected = expect;
	int done;

	arrange(word, ENTRY_PI);
	done = vdso.pi_try_unlock(&lock.word, &expected, &head);
	ok(!!done == match && expected == word && lock.word == (match ? 0 : word) && untouched() &&
	   pending_is(match ? 0 : complete ? entry : entry | ENTRY_NEED_ACTION),
	   "%s PI try_unlock, %s: returned %d, word %x, expected %x, pending entry%+lld", ABI_NAME,
	   what, done, lock.word, expected, (long long)((uintptr_t)head.pending - entry));
}

static void list_case(const char *what, bool wide, u32 word)
{
	bool match = word == ME;
	/* Eight bytes, so that a store of the wrong width shows. */
	u64 pop = 0x1122334455667788ull, want = pop;
	u32 seen;

	arrange(word, 0);
	if (wide)
		seen = vdso.list64(&lock.word, ME, &pop);
	else
		seen = vdso.list32(&lock.word, ME, (u32 *)&pop);
	if (match)
		want = wide ? 0 : want & 0xffffffff00000000ull;
	ok(seen == word && lock.word == (match ? 0 : word) && pop == want && untouched(),
	   "%s list%d try_unlock, %s: returned %x, word %x, pop %llx", ABI_NAME, wide ? 64 : 32, what,
	   seen, lock.word, (unsigned long long)pop);
}

/* A head that is not mapped: SIGSEGV as from any code, never a fix-up. */
static void fault_case(const char *what, bool pi)
{
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u32 expected = ME;
	int status;
	pid_t pid = fork();

	if (!pid) {
		arrange(ME, 0);
		if (pi)
			vdso.pi_try_unlock(&lock.word, &expected, hole);
		else
			vdso.unlock(&lock.word, hole);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%s %s with an unmapped head: SIGSEGV",
	   ABI_NAME, what);
	munmap(hole, 4096);
}

int test_results(int argc, char **argv)
{
	complete = argc == 2 && !strcmp(argv[1], "complete");
	if ((argc != 1 && !complete) || !vdso.unlock || !vdso.pi_try_unlock || !vdso.list32)
		bail("usage: results [complete], on a kernel with the functions");

	unlock_case("no waiters", ME);
	unlock_case("waiters", ME | WORD_WAITERS);
	unlock_case("owner had died", ME | WORD_DIED);
	unlock_case("owner had died, waiters", ME | WORD_DIED | WORD_WAITERS);
	unlock_case("not owner", OTHER);
	unlock_case("not owner, waiters", OTHER | WORD_WAITERS);
	unlock_case("free", 0);

	/* A handler may have reused the slot: nothing is made up from what was there. */
	arrange(ME | WORD_WAITERS, 0);
	head.pending = NULL;
	vdso.unlock(&lock.word, &head);
	ok(pending_is(0) || pending_is(ENTRY_NEED_ACTION), "%s unlock with nothing pending: %llx",
	   ABI_NAME, (unsigned long long)(uintptr_t)head.pending);

	pi_case("no waiters", ME, ME);
	pi_case("waiters", ME | WORD_WAITERS, ME);
	pi_case("waiters that are expected", ME | WORD_WAITERS, ME | WORD_WAITERS);
	pi_case("not owner", OTHER, ME);
	pi_case("failed compare", ME, 0);
	pi_case("failed compare, all bits", ME, ~0u);
	pi_case("owner had died", ME | WORD_DIED, ME);

	for (int wide = 0; wide < 2; wide++) {
		if (wide && !vdso.list64)
			continue;
		list_case("no waiters", wide, ME);
		list_case("waiters", wide, ME | WORD_WAITERS);
		list_case("not owner", wide, OTHER);
		list_case("owner had died", wide, ME | WORD_DIED);
		list_case("free", wide, 0);
	}
	fault_case("unlock", false);
	fault_case("PI try_unlock", true);
	return tap_done();
}
