// SPDX-License-Identifier: GPL-2.0
/*
 * faulting: SIGKILL arrives while the kernel does the store to list_op_pending that
 * an interrupted vDSO function owes, and the page has to be read in first. With the
 * signal pending that fault fails. The lock word, released and reused by then, must
 * stay as it is, and the locks on the list must be marked all the same. If the page
 * cannot be had at the exit either, the list is given up, and nothing is marked.
 *
 * The page is absent by userfaultfd(2), which fails for a task that exits: the page
 * is brought while the victim is stopped by PTRACE_EVENT_EXIT, on its way there. The
 * victim shares this process's memory, so that its page can be brought by this one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"
#include "trial.h"
#include "vdso.h"

#define BREAK() __asm__ volatile("int3" ::: "memory")
#define PAGE 4096

static struct head *head;	/* alone in its page */
static char saved[PAGE] __attribute__((aligned(PAGE)));
static int faults;		/* the userfaultfd */

static void by_unlock(void)
{
	vdso.unlock(&sh->target.word, head);
}

static void by_pi(void)
{
	u32 expected = sh->tid;

	vdso.pi_try_unlock(&sh->target.word, &expected, head);
}

static void by_mainline(void)
{
	if (sizeof(long) == 8)
		vdso.list64(&sh->target.word, sh->tid, (u64 *)&head->pending);
	else
		vdso.list32(&sh->target.word, sh->tid, (u32 *)&head->pending);
}

/* The mutant: the kernel does not know this code. */
static void by_local_code(void)
{
	__atomic_exchange_n(&sh->target.word, 0, __ATOMIC_SEQ_CST);
	*(struct node *volatile *)&head->pending = NULL;
}

/* No libc: the thread's own data is the parent's. */
static int victim(void *run)
{
	sh->tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	sh->held.word = sh->target.word = sh->tid;
	raw_syscall(SYS_set_robust_list, (long)head, sizeof(*head), 0, 0, 0, 0);
	raw_syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0, 0, 0);
	BREAK();
	((void (*)(void))run)();
	sh->done = 1;
	BREAK();
	raw_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
	return 0;
}

static pid_t start(void (*run)(void), bool pi)
{
	static char stack[32768] __attribute__((aligned(16)));
	int status;
	pid_t pid;

	memset(sh, 0, sizeof(*sh));
	sh->held.node.next = &head->list;
	*head = (struct head){ { &sh->held.node }, LOCK_OFFSET,
			       (struct node *)((uintptr_t)&sh->target.node | (pi ? ENTRY_PI : 0)) };
	pid = clone(victim, stack + sizeof(stack), CLONE_VM | SIGCHLD, (void *)run);
	if (pid < 0 || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT))
		bail("the victim did not start: %s", strerror(errno));
	return pid;
}

static void step(pid_t pid)
{
	int status;

	ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		bail("the victim ended while it was stepped");
}

/* Whether somebody waits for the page. */
static bool fault_within(int milliseconds)
{
	struct pollfd poller = { faults, POLLIN, 0 };
	struct uffd_msg message;

	return poll(&poller, 1, milliseconds) == 1 &&
	       read(faults, &message, sizeof(message)) == sizeof(message);
}

static void serve(void)
{
	struct uffdio_copy copy = { (uintptr_t)head, (uintptr_t)saved, PAGE, 0, 0 };

	if (ioctl(faults, UFFDIO_COPY, &copy))
		bail("UFFDIO_COPY: %s", strerror(errno));
}

/* Kills the victim and brings the page at the last moment, if at all. */
static void kill_and_serve(pid_t pid, bool bring)
{
	int status;

	kill(pid, SIGKILL);
	do {
		if (waitpid(pid, &status, __WALL) != pid)
			bail("waitpid: %s", strerror(errno));
		if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_EXIT) {
			if (bring)
				serve();
			ptrace(PTRACE_CONT, pid, NULL, NULL);
		}
	} while (WIFSTOPPED(status));
}

/* Leaves the victim stopped in front of the instruction that releases the word. */
static pid_t start_before_release(const char *name, void (*run)(void), bool pi)
{
	pid_t pid = start(run, pi);
	int steps = 0;

	while (sh->target.word && !sh->done) {
		step(pid);
		steps++;
	}
	if (sh->target.word)
		bail("%s releases nothing", name);
	kill_and_serve(pid, false);

	pid = start(run, pi);
	for (int i = 1; i < steps; i++)
		step(pid);
	return pid;
}

static void attack(const char *name, void (*run)(void), bool pi, bool known, bool bring)
{
	pid_t pid = start_before_release(name, run, pi);
	bool waited;
	u32 reuse;

	memcpy(saved, head, PAGE);
	madvise(head, PAGE, MADV_DONTNEED);
	ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
	/* With the mutant nobody looks at the page before the exit. */
	waited = fault_within(known ? 60000 : 2000);
	reuse = sh->tid;
	sh->target.word = reuse;
	kill_and_serve(pid, bring);
	ok(waited == known && (sh->target.word == reuse) == (known || !bring) &&
	   sh->held.word == (bring ? WORD_DIED : reuse),
	   "%s %s, killed while the store to list_op_pending waits for its page, which %s: "
	   "word %s, list %s", ABI_NAME, name, bring ? "comes before the exit" : "never comes",
	   sh->target.word == reuse ? "as it was" : "corrupted",
	   sh->held.word == WORD_DIED ? "marked" : "given up");
	if (!bring)
		serve();
}

int test_faulting(int argc, char **argv)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct sched_param fair = { .sched_priority = 0 };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	(void)argv;
	if (argc != 1 || !vdso.unlock || !vdso.pi_try_unlock)
		bail("usage: faulting, on a kernel with the functions");
	trial_setup();
	/*
	 * The victim's signal, that of a step, is pending while the kernel waits for the page:
	 * it does not sleep then, it looks again and again. A real-time victim would never let
	 * this process run, which has to serve it.
	 */
	if (sched_setscheduler(0, SCHED_OTHER, &fair))
		bail("sched_setscheduler: %s", strerror(errno));
	head = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	faults = raw_syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0, 0);
	range.range = (struct uffdio_range){ (uintptr_t)head, PAGE };
	head->pending = NULL;
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &range))
		bail("userfaultfd: %d, %s", faults, strerror(errno));
	for (int bring = 1; bring >= 0; bring--) {
		attack("unlock", by_unlock, false, true, bring);
		attack("PI try_unlock", by_pi, true, true, bring);
		attack("mainline's try_unlock", by_mainline, false, true, bring);
	}
	attack("local code", by_local_code, false, false, true);
	return tap_done();
}
