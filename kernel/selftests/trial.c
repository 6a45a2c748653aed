// SPDX-License-Identifier: GPL-2.0
/*
 * For each instruction k of an engine: a victim is forked that takes the lock,
 * waiters go to sleep on it, the victim is single-stepped k instructions and
 * ended in the way the trial says. If the word had been released by then it is
 * reused first: the victim's own TID is written there, as data that means
 * something else. What the kernel leaves behind is then compared with what it
 * must be. Nothing here waits for time to pass: a victim has been reaped when
 * its list has been walked, and wakes are counted in the kernel's own queue.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "trial.h"
#include "vdso.h"
#include "victim.h"
#include "waiters.h"

#define MAX_STEPS 4000
#define PI_PATIENCE_SECONDS 20

const char *const how_names[HOW_COUNT] = {
	"killed", "killed at system call entry", "killed at system call exit",
	"ended by a sibling's exit_group", "ended by a sibling's execve",
	"moved elsewhere by a debugger and killed", "killed after a sibling unmapped the vDSO",
	"killed in a handler", "killed in a SA_SIGINFO handler",
	"killed in a handler that woke another futex", "handler returns",
	"signal without a stack for its frame",
};

void trial_setup(void)
{
	struct sched_param param = { .sched_priority = 1 };
	cpu_set_t one;

	/*
	 * ptrace waits, a tick at a time, until a stopped task is off its CPU and
	 * its queue. On one CPU the first is always so; the second is for real-time
	 * tasks, while a fair one may stay queued for a while after it went to sleep.
	 * Where this is refused the test is slower, no less.
	 */
	sched_setscheduler(0, SCHED_FIFO, &param);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		bail("sched_setaffinity: %s", strerror(errno));
	/* Below 4 GB: it also holds a 32-bit list head. */
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (sh == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
	victim_setup();
}

static uintptr_t ip_of(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		bail("PTRACE_GETREGS: %s", strerror(errno));
#ifdef __x86_64__
	return regs.rip;
#else
	return regs.eip;
#endif
}

/* Where a debugger sends the victim: it never gets to execute this. */
static void elsewhere(void)
{
	__builtin_trap();
}

static void move_elsewhere(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		bail("PTRACE_GETREGS: %s", strerror(errno));
#ifdef __x86_64__
	regs.rip = (uintptr_t)elsewhere;
#else
	regs.eip = (uintptr_t)elsewhere;
#endif
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs))
		bail("PTRACE_SETREGS: %s", strerror(errno));
}

static bool at_syscall(pid_t pid)
{
	/* The child is a fork: its text and vDSO are ours. */
	const unsigned char *code = (void *)ip_of(pid);

	return (code[0] == 0x0f && code[1] == 0x05) ||
	       (code[0] == 0x0f && code[1] == 0x34) ||
	       (code[0] == 0xcd && code[1] == 0x80);
}

/* Lets the victim go on in one way; the stop's signal, 0 when it is gone. */
static int resume(pid_t pid, int request, int signal)
{
	int status;

	if (ptrace(request, pid, NULL, (void *)(uintptr_t)signal))
		return 0;
	if (waitpid(pid, &status, __WALL) != pid)
		bail("waitpid: %s", strerror(errno));
	return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

enum end { END_FINISHED, END_HELD, END_RELEASED, END_NOT_HERE };

struct attack {
	const struct trial *trial;
	struct tally *tally;
	pid_t victim;
	pid_t waiter[MAX_WAITERS];
	bool gone;		/* the victim has been reaped */
};

static void start(struct attack *a)
{
	const struct trial *trial = a->trial;
	int status;

	memset(sh, 0, sizeof(*sh));
	sh->held.before = sh->held.after = sh->held.pad = GUARD;
	sh->target.before = sh->target.after = sh->target.pad = GUARD;
	if (trial->how == HOW_HANDLER_WAKES)
		sh->go = 2;
	a->gone = false;
	a->victim = fork();
	if (a->victim < 0)
		bail("fork: %s", strerror(errno));
	if (!a->victim)
		victim_run(trial);
	if (waitpid(a->victim, &status, __WALL) != a->victim || !WIFSTOPPED(status) ||
	    WSTOPSIG(status) != SIGTRAP)
		bail("the victim did not reach its first breakpoint: status %x", status);
	ptrace(PTRACE_SETOPTIONS, a->victim, NULL, (void *)PTRACE_O_TRACESYSGOOD);
	for (int i = 0; i < trial->waiters; i++) {
		if (trial->engine->pi) {
			a->waiter[i] = start_pi_waiter(i, &sh->target.word, i + 2);
			await_pi_blocked(a->waiter[i], i);
		} else {
			a->waiter[i] = start_waiter(i, &sh->target.word);
		}
	}
	if (!trial->engine->pi)
		await_queued(&sh->target.word, trial->waiters);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Each PI waiter gets the lock, highest priority first, or is stranded. */
static void finish_pi_waiters(struct attack *a)
{
	int count = a->trial->waiters;
	double deadline = seconds() + PI_PATIENCE_SECONDS;
	bool late = false;

	for (int i = 0; i < count; i++) {
		int status = 0;

		while (a->waiter[i] && waitpid(a->waiter[i], &status, WNOHANG) == 0) {
			if (seconds() > deadline) {
				late = true;
				reap(a->waiter[i]);
				break;
			}
			sched_yield();
		}
		if (a->waiter[i] && WIFEXITED(status) && WEXITSTATUS(status))
			a->tally->broken++;
		a->waiter[i] = 0;
	}
	if (late || (int)sh->acquired != count) {
		a->tally->stranded++;
		return;
	}
	for (int i = 0; i < count; i++)
		a->tally->misordered += sh->order[i] != (u32)(count - 1 - i);
}

/* Reaps the victim in the way the trial says. */
static void end_victim(struct attack *a)
{
	int status;

	if (a->gone)
		return;
	if (a->trial->how == HOW_EXIT_GROUP || a->trial->how == HOW_EXECVE)
		sh->go = 1;
	else
		kill(a->victim, SIGKILL);
	while (waitpid(a->victim, &status, __WALL) == a->victim && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, a->victim, NULL, NULL);
	a->gone = true;
}

static bool released(const struct engine *engine)
{
	return (sh->target.word & WORD_TID) != (engine->foreign ? OTHER_OWNER : sh->tid);
}

/* The victim died as the owner. `begun`: its unlock had told the kernel so, and
 * a PI waiter may then get the lock as after an unlock instead of a death. */
static void check_unreleased(struct attack *a, bool begun)
{
	const struct trial *trial = a->trial;
	u32 want = WORD_DIED | (trial->waiters && !trial->engine->pi ? WORD_WAITERS : 0);

	if (trial->engine->pi && trial->waiters) {
		finish_pi_waiters(a);
		/* The last waiter's unlock leaves nothing. */
		a->tally->lost += sh->target.word != 0 ||
				  (!begun && !(sh->seen[0] & WORD_DIED));
		return;
	}
	if (trial->engine->foreign)
		want = OTHER_OWNER;	/* not a bit of it is ours */
	else if (begun && trial->engine->pi && !sh->target.word)
		want = 0;		/* unlocked in the name of the dead one */
	a->tally->lost += sh->target.word != want;
}

static void check_waiters(struct attack *a)
{
	int left;

	if (a->trial->engine->pi) {
		for (int i = 0; i < a->trial->waiters; i++) {
			if (a->waiter[i])
				reap(a->waiter[i]);
		}
		return;
	}
	left = wake_all(&sh->target.word);
	if (a->trial->waiters && left >= a->trial->waiters)
		a->tally->stranded++;
	for (int i = 0; i < a->trial->waiters; i++) {
		while (waitpid(a->waiter[i], NULL, 0) < 0 && errno == EINTR)
			;
	}
}

static void check_surroundings(struct attack *a)
{
	a->tally->other_lost += sh->held.word != WORD_DIED;
	a->tally->strayed += sh->target.before != GUARD || sh->target.after != GUARD ||
			     sh->target.pad != GUARD || sh->held.before != GUARD ||
			     sh->held.after != GUARD || sh->held.pad != GUARD ||
			     sh->other_futex != 0;
	if (narrow_too(a->trial)) {
		a->tally->other_lost += sh->narrow_word != WORD_DIED;
		a->tally->strayed += sh->narrow_head[0] != (u32)(uintptr_t)sh->narrow_head ||
				     sh->narrow_head[2] != (u32)(uintptr_t)&sh->narrow_node;
	}
}

/* Sends SIGUSR1 at this instruction and goes on as far as the trial wants. */
static bool signalled(struct attack *a, bool was_released)
{
	enum how how = a->trial->how;
	uintptr_t state;
	int stop = resume(a->victim, PTRACE_SINGLESTEP, SIGUSR1);

	if (how == HOW_NO_FRAME) {
		/* The SIGSEGV that the failed frame turned into. */
		if (stop != SIGSEGV)
			return false;
		if (was_released)
			return true;
		resume(a->victim, PTRACE_CONT, SIGSEGV);
		a->gone = true;
		return true;
	}
	if (stop != SIGTRAP || ip_of(a->victim) != handler_address(how))
		return false;
	state = (uintptr_t)sh->head.pending;
	if (was_released && state && !(state & ENTRY_NEED_ACTION))
		a->tally->unmoved++;
	if (how == HOW_HANDLER_WAKES || how == HOW_HANDLER_RETURNS) {
		if (resume(a->victim, PTRACE_CONT, 0) != SIGTRAP || !sh->handled)
			return false;
	}
	return true;
}

/* After the handler: the unlock must end as if nothing had happened. */
static void run_to_end(struct attack *a)
{
	int stop = 0, tries = 3;

	while (tries-- && !sh->done) {
		stop = resume(a->victim, PTRACE_CONT, 0);
		if (stop != SIGTRAP)
			break;
	}
	if (!sh->done) {
		a->tally->unfinished++;
		return;
	}
	if (!a->trial->engine->whole)
		return;
	a->tally->unfinished += sh->head.pending != NULL ||
		(sh->result < 0 && sh->result > -4096) ||
		(!a->trial->engine->pi && (sh->target.word & WORD_TID));
	if (!a->trial->engine->pi && a->trial->waiters)
		a->tally->stranded += queued(&sh->target.word) != a->trial->waiters - 1;
}

/* One life: k steps, then the end. */
static enum end attack_once(struct attack *a, int k, u32 reuse_bits, bool *inside)
{
	const struct trial *trial = a->trial;
	bool was_released, pi_queue = trial->engine->pi && trial->waiters;
	enum end end = END_NOT_HERE;

	start(a);
	for (int i = 0; i < k && !sh->done; i++) {
		if (resume(a->victim, PTRACE_SINGLESTEP, 0) != SIGTRAP)
			bail("step %d of %s: the victim stopped for something else", i,
			     trial->engine->name);
	}
	if (sh->done) {
		end = END_FINISHED;
		goto out;
	}
	*inside = in_vdso(ip_of(a->victim));
	if (trial->how == HOW_SYSCALL_ENTRY || trial->how == HOW_SYSCALL_EXIT) {
		if (!at_syscall(a->victim))
			goto out;
		if (resume(a->victim, PTRACE_SYSCALL, 0) != (SIGTRAP | 0x80))
			bail("no stop at a system call's entry");
		if (trial->how == HOW_SYSCALL_EXIT &&
		    resume(a->victim, PTRACE_SYSCALL, 0) != (SIGTRAP | 0x80))
			bail("no stop at a system call's exit");
	}
	was_released = released(trial->engine);
	end = was_released ? END_RELEASED : END_HELD;
	a->tally->trials++;
	a->tally->released += was_released;
	/* The kernel settles the slot before a debugger can see the thread. */
	if (*inside && was_released && sh->head.pending &&
	    !((uintptr_t)sh->head.pending & ENTRY_NEED_ACTION) && !trial->engine->foreign)
		a->tally->unmoved++;
	if (trial->how == HOW_DEBUGGER)
		move_elsewhere(a->victim);
	if (trial->how == HOW_UNMAPPED) {
		sh->go = 1;
		while (!sh->unmapped)
			sched_yield();
	}
	if (trial->how >= HOW_HANDLER && !signalled(a, was_released)) {
		a->tally->broken++;
		goto out;
	}
	if (trial->how == HOW_HANDLER_RETURNS) {
		run_to_end(a);
		end_victim(a);
		if (pi_queue) {
			finish_pi_waiters(a);
			a->tally->unfinished += sh->target.word != 0;
		}
		check_waiters(a);
		check_surroundings(a);
		return end;
	}
	if (was_released) {
		u32 reuse = sh->tid | reuse_bits;

		if (pi_queue)
			finish_pi_waiters(a);
		__atomic_store_n(&sh->target.word, reuse, __ATOMIC_SEQ_CST);
		end_victim(a);
		a->tally->corrupted += sh->target.word != reuse;
	} else {
		bool begun = *inside || ((uintptr_t)sh->head.pending & ENTRY_NEED_ACTION);

		end_victim(a);
		check_unreleased(a, begun);
	}
	check_waiters(a);
	check_surroundings(a);
	return end;

out:
	kill(a->victim, SIGKILL);
	if (has_sibling(trial->how))
		sh->go = 1;
	end_victim(a);
	if (pi_queue)
		for (int i = 0; i < trial->waiters; i++)
			if (a->waiter[i])
				reap(a->waiter[i]), a->waiter[i] = 0;
	wake_all(&sh->target.word);
	if (!trial->engine->pi)
		for (int i = 0; i < trial->waiters; i++)
			waitpid(a->waiter[i], NULL, 0);
	return end;
}

struct tally trial_run(const struct trial *trial)
{
	static const u32 reuses[] = { 0, WORD_WAITERS, WORD_DIED | WORD_WAITERS };
	struct tally tally = { 0 };
	struct attack attack = { .trial = trial, .tally = &tally };
	/* All three where a life is cheap, else turn about. */
	int kinds = trial->how == HOW_KILL && !trial->waiters ? 3 : 1;
	bool inside = false;

	for (int k = 0;; k++) {
		enum end end = END_NOT_HERE;

		if (k > MAX_STEPS)
			bail("%s does not end", trial->engine->name);
		watchdog(120);
		for (int reuse = 0; reuse < kinds; reuse++) {
			end = attack_once(&attack, k, reuses[(k + reuse) % 3], &inside);
			if (end != END_RELEASED)
				break;
		}
		if (end == END_FINISHED)
			return tally;
		if (end == END_NOT_HERE)
			continue;
		tally.points++;
		tally.inside += inside;
	}
}

bool tally_sound(const struct tally *tally)
{
	return tally->points && !tally->other_lost && !tally->strayed &&
	       !tally->misordered && !tally->broken;
}

bool tally_clean(const struct tally *tally)
{
	return tally_sound(tally) && !tally->corrupted && !tally->lost &&
	       !tally->stranded && !tally->unmoved && !tally->unfinished;
}

void tally_report(bool good, const struct trial *trial, const struct tally *tally)
{
	ok(good, "%s %s, %d waiting, %s: %d points (%d in the vDSO) %d trials %d released: "
	   "%d corrupted %d lost %d stranded%s%s%s",
	   ABI_NAME, trial->engine->name, trial->waiters, how_names[trial->how], tally->points,
	   tally->inside, tally->trials, tally->released, tally->corrupted, tally->lost,
	   tally->stranded, tally->unmoved ? " STATE NOT MOVED" : "",
	   tally->unfinished ? " UNLOCK UNFINISHED" : "", tally_sound(tally) ? "" : " UNSOUND");
	if (!good)
		note("other_lost %d strayed %d unmoved %d unfinished %d misordered %d broken %d",
		     tally->other_lost, tally->strayed, tally->unmoved, tally->unfinished,
		     tally->misordered, tally->broken);
}
