// SPDX-License-Identifier: GPL-2.0
/*
 * hostile vdso|novdso|stock: list heads that no sane program has. The kernel
 * must come through without a report and a task must end as ever; what the walk
 * reaches before the bad entry is marked, and nothing else is written: pages
 * full of words with the dying task's TID lie around to be hit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "vdso.h"

#define MANY 3000
#define LIMIT 2048	/* ROBUST_LIST_LIMIT */
#define WITNESSES 4096
#define UNALIGNED 9

struct arena {
	struct head head;
	struct lock lock[MANY];
	u32 witness[WITNESSES];
	struct head straddled;	/* room to place a head anywhere */
	volatile u32 tid;
	volatile int step;
};

static struct arena *arena;
static char *hole;		/* PROT_NONE, one page; a readable page before it */
static char *read_only;
static bool series;
static char *past_end;		/* mapped, but the file ends before */

static const uintptr_t bad_places[] = {
	8, 0x1000,
#if defined(__x86_64__) && !defined(__ILP32__)
	0x7ffffffff000, 0x800000000000, 0x8000000000000000, 0xffff888000000000,
	0xffffffff81000000, 0xffffffffff600000, 0xffffffffffffffe0,
#else
	0xbffffffc, 0xc0000000, 0xffffe000, 0xffffffe0,
#endif
	~(uintptr_t)3, ~(uintptr_t)7,
};
#define BAD_COUNT (int)(sizeof(bad_places) / sizeof(bad_places[0]) + 4)

static uintptr_t bad_place(int i)
{
	switch (i) {
	case 0: return (uintptr_t)hole;
	case 1: return (uintptr_t)hole - sizeof(long) / 2;	/* half of it can be read */
	case 2: return (uintptr_t)past_end;
	case 3: return (uintptr_t)&arena->lock[UNALIGNED].node + 2;	/* unaligned */
	}
	return bad_places[i - 4];
}

static void fresh(void)
{
	u32 tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);

	memset(arena, 0, sizeof(*arena));
	arena->tid = tid;
	arena->head.list.next = &arena->head.list;
	arena->head.futex_offset = LOCK_OFFSET;
	for (int i = 0; i < MANY; i++) {
		arena->lock[i].before = arena->lock[i].after = arena->lock[i].pad = GUARD;
		arena->lock[i].word = tid;
	}
	for (int i = 0; i < WITNESSES; i++)
		arena->witness[i] = tid;
}

/* Links locks 0..count-1 and lets the last one point to `end`. */
static void chain(int count, void *end)
{
	arena->head.list.next = count ? &arena->lock[0].node : end;
	for (int i = 0; i < count; i++)
		arena->lock[i].node.next = i + 1 < count ? &arena->lock[i + 1].node : end;
}

static void enter(void *head)
{
	raw_syscall(SYS_set_robust_list, (long)head, sizeof(struct head), 0, 0, 0, 0);
}

static void leave(void)
{
	raw_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
}

/* With the series, the unaligned place is a lock with NEED_ACTION as a pending
 * entry, and with the PI bit too one that is to be unlocked. */
static bool freed;

/* `marked` locks from the first on must be marked, all else must be as it was. */
static bool intact(int marked)
{
	bool good = true;

	for (int i = 0; i < MANY; i++) {
		u32 want = i < marked ? WORD_DIED : arena->tid;

		if (i == UNALIGNED && freed && !arena->lock[i].word)
			continue;

		if (arena->lock[i].word != want || arena->lock[i].before != GUARD ||
		    arena->lock[i].after != GUARD || arena->lock[i].pad != GUARD) {
			note("lock %d: %x instead of %x", i, arena->lock[i].word, want);
			good = false;
			break;
		}
	}
	for (int i = 0; i < WITNESSES; i++) {
		if (arena->witness[i] != arena->tid) {
			note("witness %d: %x", i, arena->witness[i]);
			return false;
		}
	}
	return good;
}

static int finish(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Runs what follows in a child; the parent gets the wait status. */
#define IN_CHILD(status, ...) do {		\
	pid_t pid = fork();			\
	if (!pid) {				\
		fresh();			\
		__VA_ARGS__;			\
		leave();			\
	}					\
	status = finish(pid);			\
} while (0)

static void bad_entries(void)
{
	static const long offsets[] = { LOCK_OFFSET, 0, -8 };
	int status, cases = 0;
	bool first = true, later = true, pending = true;

	for (int i = 0; i < BAD_COUNT; i++) {
		for (uintptr_t bits = 0; bits < 4; bits++) {
			for (int o = 0; o < 3; o++) {
				void *bad = (void *)(bad_place(i) | bits);

				watchdog(120);
				IN_CHILD(status, chain(0, bad);
					 arena->head.futex_offset = offsets[o]; enter(&arena->head));
				first = first && !status && intact(0);
				IN_CHILD(status, chain(3, bad); enter(&arena->head));
				later = later && !status && intact(3);
				IN_CHILD(status, chain(3, &arena->head.list);
					 arena->head.pending = bad; enter(&arena->head));
				freed = series && ((uintptr_t)bad & ENTRY_PI);
				pending = pending && !status && intact(3);
				freed = false;
				cases += 3;
				if (o == 0 && !(first && later && pending)) {
					note("bad place %d bits %d", i, (int)bits);
					goto out;
				}
			}
		}
	}
out:
	ok(first, "%s the first entry is one of %d bad places", ABI_NAME, BAD_COUNT);
	ok(later, "%s so is the fourth: the three before it are marked", ABI_NAME);
	ok(pending, "%s so is the pending one: the list is marked", ABI_NAME);
	note("%d exits", cases);
}

static void shapes(void)
{
	int status;

	IN_CHILD(status, chain(2, &arena->lock[0].node); enter(&arena->head));
	ok(!status && intact(2), "%s circular list of two", ABI_NAME);
	IN_CHILD(status, chain(1, &arena->lock[0].node); enter(&arena->head));
	ok(!status && intact(1), "%s an entry that points to itself", ABI_NAME);
	IN_CHILD(status, chain(MANY, &arena->head.list); enter(&arena->head));
	ok(!status && intact(LIMIT), "%s %d entries: %d marked, the rest untouched", ABI_NAME, MANY,
	   LIMIT);
	IN_CHILD(status, chain(MANY, &arena->head.list);
		 for (int i = 0; i < MANY; i++) arena->lock[i].node.next =
			(struct node *)((uintptr_t)arena->lock[i].node.next | ENTRY_PI);
		 enter(&arena->head));
	ok(!status, "%s %d PI entries", ABI_NAME, MANY);
	IN_CHILD(status, chain(3, &arena->head.list); arena->head.pending = &arena->lock[1].node;
		 enter(&arena->head));
	ok(!status && intact(3), "%s pending and on the list", ABI_NAME);
	IN_CHILD(status, chain(0, &arena->head.list); arena->head.pending = &arena->head.list;
		 enter(&arena->head));
	ok(!status && intact(0), "%s the head itself is pending", ABI_NAME);
	IN_CHILD(status, chain(0, NULL); enter(&arena->head));
	ok(!status && intact(0), "%s an empty entry pointer", ABI_NAME);
	for (long bits = 0; bits < 4; bits++) {
		IN_CHILD(status, chain(2, &arena->head.list);
			 arena->head.pending = (struct node *)bits; enter(&arena->head));
		ok(!status && intact(2), "%s nothing is pending but the bits %ld", ABI_NAME, bits);
	}
}

static void heads(void)
{
	long page = 4096;
	char *here = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool all = true;
	int status;

	for (int i = 0; i < BAD_COUNT; i++) {
		for (int bits = 0; bits < 4; bits++) {
			IN_CHILD(status, chain(3, &arena->head.list); enter((void *)(bad_place(i) + bits)));
			all = all && !status && intact(0);
		}
	}
	ok(all, "%s the head is at one of %d bad places, any alignment", ABI_NAME, BAD_COUNT);

	IN_CHILD(status, struct head *head = (struct head *)here;
		 chain(3, &head->list);
		 *head = arena->head; enter(head); munmap(here, page));
	ok(!status && intact(0), "%s the head was unmapped before exit", ABI_NAME);

	all = true;
	for (unsigned int cut = 1; cut < sizeof(struct head); cut++) {
		IN_CHILD(status, struct head *head = (struct head *)(here + page - cut);
			 chain(3, &head->list);
			 memcpy(head, &arena->head, sizeof(*head));
			 enter(head); munmap(here + page, page));
		all = all && !status && intact(0);
	}
	ok(all, "%s the head runs into an unmapped page after 1..%d bytes", ABI_NAME,
	   (int)sizeof(struct head) - 1);

	all = true;
	for (int shift = 1; shift < (int)sizeof(long); shift++) {
		IN_CHILD(status, struct head *head = (struct head *)(here + shift);
			 chain(3, &head->list);
			 memcpy(head, &arena->head, sizeof(*head)); enter(head));
		all = all && !status;
	}
	ok(all, "%s an unaligned head", ABI_NAME);
	ok(raw_syscall(SYS_set_robust_list, (long)&arena->head, sizeof(struct head) + 1, 0, 0, 0, 0) ==
	   -EINVAL, "%s a head of another size is refused", ABI_NAME);
	munmap(here, 2 * page);
}

static void offsets(void)
{
	static const long any[] = {
		1, 2, 3, -1, -2, 4, 12, LONG_MIN, LONG_MAX, LONG_MIN + 8, LONG_MAX - 7,
		INT_MAX - 3, INT_MIN, 0x40000000, -0x40000000, 1l << (sizeof(long) * 8 - 2),
	};
	bool all = true;
	int status;

	for (unsigned int i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		for (int pending = 0; pending < 4; pending++) {
			/* Where the offset does lead to one of our words it may be marked. */
			IN_CHILD(status, chain(3, &arena->head.list);
				 arena->head.futex_offset = any[i];
				 arena->head.pending = pending == 0 ? NULL :
					(struct node *)((uintptr_t)&arena->lock[5].node | pending);
				 for (int w = 0; w < MANY; w++) arena->lock[w].word = arena->tid + 1;
				 enter(&arena->head));
			all = all && !status && arena->witness[0] == arena->tid;
			for (int w = 0; w < MANY; w++)
				all = all && arena->lock[w].word == arena->tid + 1;
			for (int w = 0; w < WITNESSES; w++)
				all = all && arena->witness[w] == arena->tid;
		}
	}
	ok(all, "%s %d offsets that lead elsewhere", ABI_NAME, (int)(sizeof(any) / sizeof(any[0])));

	/* Entries in places that cannot be written, as list and pending, all bits. */
	for (int place = 0; place < 2; place++) {
		u32 *word = (u32 *)(place ? read_only : hole);
		all = true;

		for (uintptr_t bits = 0; bits < 4; bits++) {
			IN_CHILD(status,
				 mprotect(read_only, 4096, PROT_READ | PROT_WRITE);
				 *(volatile u32 *)read_only = arena->tid;
				 mprotect(read_only, 4096, PROT_READ);
				 chain(1, &arena->head.list);
				 arena->head.futex_offset = (char *)word - (char *)&arena->lock[0].node;
				 arena->head.pending = (struct node *)((uintptr_t)&arena->lock[0].node | bits);
				 enter(&arena->head));
			all = all && !status && intact(0) && *(volatile u32 *)read_only != WORD_DIED;
			IN_CHILD(status,
				 mprotect(read_only, 4096, PROT_READ | PROT_WRITE);
				 *(volatile u32 *)read_only = arena->tid;
				 mprotect(read_only, 4096, PROT_READ);
				 arena->head.futex_offset = (char *)word - (char *)&arena->lock[0].node;
				 arena->head.pending = (struct node *)((uintptr_t)&arena->lock[0].node | bits);
				 enter(&arena->head));
			all = all && !status && intact(0) && *(volatile u32 *)read_only == arena->tid;
		}
		ok(all, "%s the word is in a %s page", ABI_NAME, place ? "read-only" : "PROT_NONE");
	}
}

static void executes(void)
{
	static char *const arguments[] = { "/proc/self/exe", "nothing", NULL };
	bool all = true;
	int status;

	for (int i = 0; i < BAD_COUNT; i++) {
		IN_CHILD(status, chain(3, (void *)bad_place(i));
			 arena->head.pending = (struct node *)(bad_place(i) | 3);
			 enter(&arena->head); execv(arguments[0], arguments); _exit(7));
		freed = series;
		all = all && !status && intact(3);
		freed = false;
	}
	ok(all, "%s the same at execve, and the new program runs", ABI_NAME);
}

/*
 * In the vDSO's window: the head is in a page that can be read and not written,
 * so that the function faults at its store, after the word was released.
 */

static struct head *repair;

static void mend(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	arena->step = info->si_addr == &repair->pending ? 1 : -1;
	if (mprotect(repair, 4096, PROT_READ | PROT_WRITE))
		_exit(6);
}

static void quit(int number)
{
	(void)number;
	raw_syscall(SYS_exit, 5, 0, 0, 0, 0, 0);
}

static u32 call(bool pi)
{
	u32 expected = arena->tid;

	if (pi)
		return vdso.pi_try_unlock(&arena->lock[7].word, &expected, repair);
	return vdso.unlock(&arena->lock[7].word, repair);
}

/* The head in its page, and the page made read-only. */
static void place_head(bool pi)
{
	repair->list.next = &repair->list;
	repair->futex_offset = LOCK_OFFSET;
	repair->pending = (struct node *)((uintptr_t)&arena->lock[7].node | pi);
	mprotect(repair, 4096, PROT_READ);
}

static void in_the_window(bool pi)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	const char *what = pi ? "PI try_unlock" : "unlock";
	bool killed = true, handled = true;
	int status;

	for (int i = 0; i < BAD_COUNT; i++) {
		for (int handle = 0; handle < 2; handle++) {
			IN_CHILD(status, place_head(pi); if (handle) signal(SIGSEGV, quit);
				 enter((void *)bad_place(i)); call(pi));
			if (handle)
				handled = handled && WIFEXITED(status) && WEXITSTATUS(status) == 5;
			else
				killed = killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
			/* It did happen after the atomic operation. */
			killed = killed && arena->lock[7].word == 0;
		}
	}
	ok(killed, "%s %s faults in its window, the registered head is bad: SIGSEGV", ABI_NAME, what);
	ok(handled, "%s and the handler runs", ABI_NAME);

	action.sa_sigaction = mend;
	for (int waiters = 0; waiters < 2; waiters++) {
		bool holds = pi && waiters;	/* try_unlock leaves that to the system call */
		struct lock *seen;

		IN_CHILD(status, sigaction(SIGSEGV, &action, NULL); place_head(pi);
			 arena->lock[6].word = arena->tid | (waiters ? WORD_WAITERS : 0);
			 arena->lock[7].word = arena->lock[6].word;
			 enter(repair);
			 arena->lock[8].word = call(pi);
			 arena->lock[9].word = arena->lock[7].word;
			 arena->lock[10].word = (uintptr_t)repair->pending & ENTRY_BITS;
			 arena->lock[11].word = repair->pending != NULL;
			 arena->lock[7].word = arena->tid;	/* reused */
			 raw_syscall(SYS_exit, arena->step == 1 ? 3 : 4, 0, 0, 0, 0, 0));
		seen = arena->lock;
		/* The store is made again after the handler, and the unlock is complete. */
		ok(WIFEXITED(status) && WEXITSTATUS(status) == 3 &&
		   (pi ? !!seen[8].word == !waiters : seen[8].word == seen[6].word) &&
		   seen[9].word == (holds ? seen[6].word : 0) &&
		   seen[11].word == (u32)waiters &&
		   seen[10].word == (waiters ? ENTRY_NEED_ACTION | pi : 0) &&
		   seen[7].word == (holds ? 0 : arena->tid),
		   "%s %s, %s, the handler mends the page: %x, word then %x, bits %x, at last %x (tid %x)",
		   ABI_NAME, what, waiters ? "waiters" : "no waiters", seen[8].word, seen[9].word,
		   seen[10].word, seen[7].word, arena->tid);
	}
}

int test_hostile(int argc, char **argv)
{
	char *pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = memfd_create("short", 0);

	if (argc != 2)
		bail("usage: hostile vdso|novdso|stock");
	arena = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	read_only = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	past_end = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (pages == MAP_FAILED || arena == MAP_FAILED || read_only == MAP_FAILED ||
	    past_end == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
	hole = pages + 4096;
	repair = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	series = strcmp(argv[1], "stock");
	if (mprotect(hole, 4096, PROT_NONE))
		bail("mprotect: %s", strerror(errno));

	bad_entries();
	shapes();
	heads();
	offsets();
	executes();
	if (!strcmp(argv[1], "vdso")) {
		in_the_window(false);
		in_the_window(true);
	}
	/* The checker: a head that names a witness must be seen to hit it. */
	{
		int status;

		IN_CHILD(status, arena->head.list.next = (struct node *)((char *)&arena->witness[77] - LOCK_OFFSET);
			 enter(&arena->head));
		ok(!status && arena->witness[77] == WORD_DIED, "%s a witness that is hit shows it", ABI_NAME);
	}
	return tap_done();
}
