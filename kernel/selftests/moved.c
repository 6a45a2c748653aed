// SPDX-License-Identifier: GPL-2.0
/*
 * moved: the kernel must find the vDSO where the program put it, and must not
 * take for the vDSO what the program put in its place.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "vdso.h"

static char saved[65536];

static void shift(intptr_t by)
{
	vdso.begin += by;
	vdso.end += by;
	vdso.unlock = (unlock_fn *)((char *)vdso.unlock + by);
	vdso.pi_try_unlock = (pi_try_unlock_fn *)((char *)vdso.pi_try_unlock + by);
}

/* libc's own calls still go to the old place (i386 makes them all there), so
 * plain memory with the same code is put back. */
static void leave_copy(uintptr_t where, size_t size)
{
	long got = raw_syscall(
#ifdef SYS_mmap2
		SYS_mmap2,
#else
		SYS_mmap,
#endif
		where, size, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if ((uintptr_t)got != where)
		__builtin_trap();
	memcpy((void *)where, saved, size);
}

static void attack(const char *what, bool trusted)
{
	static const char *const names[] = { "function_unlock", "function_pi" };

	for (int i = 0; i < 2; i++) {
		for (enum how how = HOW_KILL; how <= HOW_HANDLER; how += HOW_HANDLER - HOW_KILL) {
			struct trial trial = { engine_find(names[i]), 0, how };
			struct tally tally = trial_run(&trial);

			note("%s: %s", what, names[i]);
			if (trusted)
				tally_report(tally_clean(&tally) && tally.inside >= 3, &trial, &tally);
			else
				tally_report(tally_sound(&tally) && tally.corrupted, &trial, &tally);
		}
	}
}

int test_moved(int argc, char **argv)
{
	uintptr_t old = vdso.begin, new;
	size_t size = vdso.end - vdso.begin;
	void *room;
	long got;

	(void)argv;
	if (argc != 1 || !vdso.unlock || !vdso.pi_try_unlock || size > sizeof(saved))
		bail("usage: moved, on a kernel with the functions");
	trial_setup();
	memcpy(saved, (void *)old, size);
	attack("in its place", true);

	room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	new = (uintptr_t)room;
	got = raw_syscall(SYS_mremap, old, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, new, 0);
	leave_copy(old, size);
	if ((uintptr_t)got != new)
		bail("mremap: %ld", got);
	shift(new - old);
	attack("moved", true);

	shift(old - new);
	attack("a copy where it was", false);

	/* Gone altogether, and a copy where it was last. */
	got = raw_syscall(SYS_munmap, new, size, 0, 0, 0, 0);
	leave_copy(new, size);
	if (got)
		bail("munmap: %ld", got);
	shift(new - old);
	/* DX tells: the copy's registers mean what those of the vDSO mean. */
	attack("unmapped, a copy in its place", true);
	return tap_done();
}
