// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz series|stock EXITS [SEED]: random list heads, one task's exit each,
 * compared word for word with a model of the walk. The dying task shares this
 * program's memory and is waited for with vfork semantics, so when it is gone
 * the walk is over. A 64-bit program registers heads of both widths: the walk
 * does the native one first, then the 32-bit one.
 *
 * The model knows this memory: four arenas, one of them writable, one
 * read-only, one without access, and nothing behind the last. Where a random
 * address falls outside it asks the kernel by process_vm_readv(), which obeys
 * the same protections.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi.h"
#include "tap.h"
#include "tests.h"

#define ARENA 2048u		/* bytes that are used of the writable page */
#define SLOTS (ARENA / 8)
#define LIMIT 2048

static unsigned char *base;	/* writable | read-only | no access | unmapped */
static unsigned char want[ARENA], copy[ARENA];
static bool series;
static bool wrong_model;	/* the mutant */
static volatile u32 tid;
static u64 state;

static u32 draw(u32 below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (u32)((state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* The model. Addresses are 64 bits wide whatever the width of the head. */

enum place { WRITABLE, READABLE, NO_PLACE };

static enum place place_of(u64 address, unsigned int size)
{
	u64 low = (uintptr_t)base;

	if (address >= low && address + size <= low + 4096)
		return WRITABLE;
	if (address >= low + 4096 && address + size <= low + 2 * 4096)
		return READABLE;
	if (address >= low && address < low + 4 * 4096) {
		/* Across two of them: readable if the second one is. */
		if (address < low + 4096 && address + size <= low + 2 * 4096)
			return READABLE;
		return NO_PLACE;
	}
	return NO_PLACE;
}

static bool outside(u64 address)
{
	u64 low = (uintptr_t)base;

	return address + 16 < low || address >= low + 4 * 4096;
}

/*
 * In the pages below a stack a fault makes it grow, and process_vm_readv() fails,
 * with a warning on the console. What is on the stack changes as it is read.
 */
static u64 stack_frame;	/* of this program; the dying tasks' stack is static */

static bool near_stack(u64 address)
{
	return address + (16u << 20) > stack_frame && address < stack_frame + (16u << 20);
}

static bool strayed;	/* the model cannot tell where the walk goes: draw again */

static bool fetch(u64 address, void *out, unsigned int size)
{
	u64 low = (uintptr_t)base;

	if (outside(address)) {
		struct iovec here = { out, size };
		struct iovec there = { (void *)(uintptr_t)address, size };

		if ((uintptr_t)address != address)
			return false;
		if (near_stack(address)) {
			strayed = true;
			return false;
		}
		return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)size;
	}
	if (place_of(address, size) == NO_PLACE)
		return false;
	for (unsigned int i = 0; i < size; i++) {
		u64 at = address + i - low;

		((unsigned char *)out)[i] = at < ARENA ? want[at] : base[at];
	}
	return true;
}

static bool fetch_pointer(u64 address, bool narrow, u64 *value)
{
	u32 half;

	if (!narrow)
		return fetch(address, value, 8);
	if (!fetch(address, &half, 4))
		return false;
	*value = half;
	return true;
}

static int marked;	/* words that walks changed, all lives together */

/* handle_futex_death(): false ends the walk. */
static bool death(u64 address, bool action, bool pi)
{
	u32 word;

	if (address % 4 || !fetch(address, &word, 4))
		return false;
	if ((word & WORD_TID) != tid)
		return true;
	if (place_of(address, 4) == READABLE && !outside(address))
		return !action || pi ? false : true;
	if (outside(address) || address + 4 > (uintptr_t)base + ARENA) {
		strayed = true;
		return false;
	}
	if (action) {
		if (!pi)
			return true;
		word = 0;	/* an unlock, and nobody waits */
	} else {
		word = (word & WORD_WAITERS) | WORD_DIED;
	}
	memcpy(want + (address - (uintptr_t)base), &word, 4);
	return true;
}

static void walk(u64 head, bool narrow)
{
	unsigned int width = narrow ? 4 : 8, limit = LIMIT;
	u64 raw, entry, pending, pending_raw, offset_raw, next_raw = 0;
	u64 wrap = narrow ? 0xffffffffull : ~0ull;
	bool action, pi, again;
	u64 offset;

	if (!fetch_pointer(head, narrow, &raw) ||
	    !fetch_pointer(head + width, narrow, &offset_raw) ||
	    !fetch_pointer(head + 2 * width, narrow, &pending_raw))
		return;
	offset = offset_raw;
	action = series && (pending_raw & ENTRY_NEED_ACTION);
	pending = pending_raw & ~(series ? 3ull : 1ull);
	/* What is owed is done first: it does not depend on the list. */
	if (pending && action)
		death((pending + offset) & wrap, !wrong_model, pending_raw & 1);
	entry = raw & ~1ull;
	pi = raw & 1;
	while (entry != head) {
		again = fetch_pointer(entry, narrow, &next_raw);
		if (entry != pending && !death((entry + offset) & wrap, false, pi))
			return;
		if (!again)
			return;
		entry = next_raw & ~1ull;
		pi = next_raw & 1;
		if (!--limit)
			break;
	}
	if (pending && !action)
		death((pending + offset) & wrap, false, pending_raw & 1);
}

/* The generator: mostly lists that hang together, with something wrong in them. */

static u64 random_address(bool narrow)
{
	u64 low = (uintptr_t)base, any;

	switch (draw(16)) {
	case 0: return low + draw(4 * 4096);
	case 1: return low + 4096 + 8 * draw(512);
	case 2: return low + 2 * 4096 + 8 * draw(512);
	case 3: return low + 3 * 4096 + 8 * draw(16);
	case 4:
		any = ((u64)draw(1u << 31) << 33) ^ ((u64)draw(1u << 31) << 11) ^ draw(4096);
		return narrow ? (u32)any : any;
	case 5: return narrow ? 0xffffffff - draw(64) : 0xffff888000000000ull + 8 * draw(1 << 20);
	case 6: return draw(4096);
	default: return low + 8 * draw(SLOTS);
	}
}

static u64 random_bits(void)
{
	return draw(4) ? 0 : draw(4);
}

static void put(u64 address, bool narrow, u64 value)
{
	memcpy((void *)(uintptr_t)address, &value, narrow ? 4 : 8);
}

static u64 random_head(bool narrow)
{
	unsigned int width = narrow ? 4 : 8;
	u64 low = (uintptr_t)base, head = low + 8 * draw(SLOTS - 8), entry = head;
	static const int usual[] = { 0, 4, -4, 8, -8, 16, -32, 64, -128 };
	u64 offset = usual[draw(9)];

	if (!draw(12))
		offset = random_address(narrow);
	if (!draw(12))
		offset = random_address(narrow) - head;
	for (int links = draw(12); links; links--) {
		u64 next = draw(10) ? low + 8 * draw(SLOTS) : random_address(narrow);

		put(entry, narrow, next | random_bits());
		if (next < low || next > low + ARENA - 8)
			break;
		entry = next;
	}
	if (draw(4) && entry >= low && entry <= low + ARENA - 8)
		put(entry, narrow, head | random_bits());
	put(head + width, narrow, offset);
	put(head + 2 * width, narrow, draw(3) ? (draw(3) ? low + 8 * draw(SLOTS) :
						 random_address(narrow)) | random_bits() : 0);
	return draw(40) ? head : random_address(narrow);
}

static void set_head(u64 head, bool narrow)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	if (narrow) {
		/* The 32-bit system call, from 64-bit code: its own head. */
		long result;

		__asm__ volatile("int $0x80" : "=a"(result)
				 : "a"(311), "b"((u32)head), "c"(12)
				 : "memory", "r8", "r9", "r10", "r11");
		return;
	}
#endif
	(void)narrow;
	raw_syscall(SYS_set_robust_list, (long)head, sizeof(struct head), 0, 0, 0, 0);
}

/* Runs in this program's memory; the parent sleeps until it is gone. */
static int one_life(void *unused)
{
	bool wide_too = sizeof(long) == 8;
	u64 native = 0, narrow = 0;
	int kind = wide_too ? draw(3) : 1;

	(void)unused;
	tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	do {
		u32 *words = (u32 *)base;

		for (unsigned int i = 0; i < ARENA / 4; i++) {
			switch (draw(4)) {
			case 0: words[i] = draw(1u << 31) * 2 + draw(2); break;
			case 1: words[i] = 0; break;
			default: words[i] = tid | (draw(4) << 30); break;
			}
		}
		native = kind != 1 ? random_head(false) : 0;
		narrow = kind != 0 ? random_head(true) : 0;
		memcpy(want, base, ARENA);
		strayed = false;
		if (kind != 1)
			walk(native, false);
		if (kind != 0)
			walk(narrow, true);
	} while (strayed);
	marked += memcmp(want, base, ARENA) != 0;
	if (kind != 1)
		set_head(native, false);
	if (kind != 0)
		set_head(narrow, true);
	raw_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
	return 0;
}

static void setup(void)
{
	cpu_set_t one;

	/* Parent and child never run at the same time: two CPUs only cost wakeups. */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		bail("sched_setaffinity: %s", strerror(errno));
	/* Below 4 GB, so that a 32-bit head can be anywhere in it. */
	base = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (base == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
	for (unsigned int i = 0; i < 4 * 4096 / 4; i++)
		((u32 *)base)[i] = draw(1u << 30);
	if (mprotect(base + 4096, 4096, PROT_READ) || mprotect(base + 2 * 4096, 4096, PROT_NONE) ||
	    munmap(base + 3 * 4096, 4096))
		bail("mprotect: %s", strerror(errno));
}

/* Returns the number of exits after which memory was not what the model said. */
static int rounds(int exits, int tolerate)
{
	static char stack[65536] __attribute__((aligned(16)));
	int wrong = 0;

	for (int i = 0; i < exits; i++) {
		u64 before = state;
		pid_t pid = clone(one_life, stack + sizeof(stack),
				  CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);
		int status;

		if (pid < 0)
			bail("clone: %s", strerror(errno));
		if (i % 1000 == 0)
			watchdog(120);
		memcpy(copy, base, ARENA);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!status && !memcmp(copy, want, ARENA))
			continue;
		wrong++;
		if (wrong <= tolerate) {
			unsigned int at = 0;

			while (at < ARENA - 4 && !memcmp(copy + at, want + at, 4))
				at += 4;
			note("exit %d: status %x, at %x is %08x and not %08x; tid %x, state 0x%llx", i,
			     status, at, *(u32 *)(copy + at), *(u32 *)(want + at), tid,
			     (unsigned long long)before);
		}
	}
	return wrong;
}

int test_fuzz(int argc, char **argv)
{
	struct timespec now;
	int exits, wrong;

	if (argc < 3)
		bail("usage: fuzz series|stock EXITS [SEED]");
	stack_frame = (uintptr_t)__builtin_frame_address(0);
	series = !strcmp(argv[1], "series");
	exits = atoi(argv[2]);
	clock_gettime(CLOCK_REALTIME, &now);
	state = argc > 3 ? strtoull(argv[3], NULL, 0) : (u64)now.tv_nsec * 1000003 + now.tv_sec;
	if (!state)
		state = 1;
	note("%s seed 0x%llx", ABI_NAME, (unsigned long long)state);
	setup();
	wrong = rounds(exits, 5);
	ok(!wrong && marked > exits / 10, "%s %d random heads, %d that reach a word of the task: "
	   "%d not as the model says", ABI_NAME, exits, marked, wrong);

	/* A model with one rule changed must be found out: NEED_ACTION ignored
	 * where the series obeys it, obeyed where there is no series. */
	if (series)
		wrong_model = true;
	else
		series = true;
	wrong = rounds(1000, 0);
	ok(wrong > 0, "%s a model with a wrong rule disagrees: %d of 1000", ABI_NAME, wrong);
	return tap_done();
}
