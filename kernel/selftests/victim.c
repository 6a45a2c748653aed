// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "tap.h"
#include "vdso.h"
#include "victim.h"
#include "waiters.h"

#define BREAK() __asm__ volatile("int3" ::: "memory")

static void *no_stack;	/* for HOW_NO_FRAME */

void victim_setup(void)
{
	no_stack = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (no_stack == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
}

static void on_signal(int number)
{
	(void)number;
	if (sh->go == 2)	/* HOW_HANDLER_WAKES */
		raw_futex(&sh->other_futex, OP_WAKE, 1, 0, NULL, 0);
	sh->handled = 1;
	BREAK();
}

static void on_siginfo(int number, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	on_signal(number);
}

bool has_sibling(enum how how)
{
	return how == HOW_EXIT_GROUP || how == HOW_EXECVE || how == HOW_UNMAPPED;
}

static void *sibling(void *how)
{
	static char *const arguments[] = { "/proc/self/exe", "nothing", NULL };

	sh->waiting[0] = 1;
	while (!sh->go)
		sched_yield();
	if ((enum how)(uintptr_t)how == HOW_UNMAPPED) {
		raw_syscall(SYS_munmap, vdso.begin, vdso.end - vdso.begin, 0, 0, 0, 0);
		sh->unmapped = 1;
		for (;;)
			raw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
	if ((enum how)(uintptr_t)how == HOW_EXECVE)
		execv(arguments[0], arguments);
	raw_syscall(SYS_exit_group, 0, 0, 0, 0, 0, 0);
	return NULL;
}

static void install_handler(enum how how)
{
	struct sigaction action = { .sa_handler = on_signal };
	stack_t stack = { .ss_sp = no_stack, .ss_size = 65536 };

	if (how == HOW_HANDLER_SIGINFO) {
		action.sa_sigaction = on_siginfo;
		action.sa_flags = SA_SIGINFO;
	}
	if (how == HOW_NO_FRAME) {
		sigaltstack(&stack, NULL);
		action.sa_flags = SA_ONSTACK;
	}
	sigaction(SIGUSR1, &action, NULL);
}

uintptr_t handler_address(enum how how)
{
	return how == HOW_HANDLER_SIGINFO ? (uintptr_t)on_siginfo : (uintptr_t)on_signal;
}

/*
 * A 64-bit task may have a 32-bit list head besides its own. An operation is
 * pending there too, on a lock that is held: wherever the task dies in the
 * 64-bit function, that one must be marked, and nothing else done to it.
 */
bool narrow_too(const struct trial *trial)
{
	return sizeof(long) == 8 && trial->waiters;
}

static void register_narrow_head(void)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	u32 head = (uintptr_t)sh->narrow_head;
	long result;

	sh->narrow_word = sh->tid;
	sh->narrow_head[0] = head;
	sh->narrow_head[1] = (char *)&sh->narrow_word - (char *)&sh->narrow_node;
	sh->narrow_head[2] = (uintptr_t)&sh->narrow_node;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(311), "b"(head), "c"(12)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result)
		_exit(1);
#endif
}

void victim_run(const struct trial *trial)
{
	bool pi = trial->engine->pi;
	struct node *entry = (struct node *)((uintptr_t)&sh->target.node | (pi ? ENTRY_PI : 0));
	pthread_t thread;

	die_with_parent();
	if (has_sibling(trial->how)) {
		int slot0 = sh->waiting[0];

		sh->waiting[0] = 0;
		if (pthread_create(&thread, NULL, sibling, (void *)(uintptr_t)trial->how))
			_exit(1);
		while (!sh->waiting[0])
			sched_yield();
		sh->waiting[0] = slot0;
	}
	install_handler(trial->how);
	sh->tid = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	at = (struct place){ &sh->head, &sh->target, &sh->held.node, sh->tid };
	sh->held.word = sh->tid;
	sh->target.word = (trial->engine->foreign ? OTHER_OWNER : sh->tid) |
			  (trial->waiters && !pi ? WORD_WAITERS : 0);
	sh->head.futex_offset = LOCK_OFFSET;
	sh->held.node.next = &sh->head.list;
	sh->target.node.next = &sh->held.node;
	sh->head.list.next = trial->engine->whole ? entry : &sh->held.node;
	sh->head.pending = trial->engine->whole ? NULL : entry;
	if (raw_syscall(SYS_set_robust_list, (long)&sh->head, sizeof(sh->head), 0, 0, 0, 0))
		_exit(1);
	if (narrow_too(trial))
		register_narrow_head();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(1);
	BREAK();
	trial->engine->run();
	sh->done = 1;
	BREAK();
	_exit(0);
}
