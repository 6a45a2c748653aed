// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
#include "tap.h"
#include "waiters.h"

void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int queued(u32 *word)
{
	/* Moves every sleeper from the word to itself, and says how many. */
	return raw_futex(word, OP_REQUEUE, 0, INT_MAX, word, 0);
}

int wake_all(u32 *word)
{
	return raw_futex(word, OP_WAKE, INT_MAX, 0, NULL, 0);
}

void await_queued(u32 *word, int count)
{
	int now;

	while ((now = queued(word)) != count) {
		if (now < 0)
			bail("FUTEX_REQUEUE: %d", now);
		sched_yield();
	}
}

pid_t start_waiter(int slot, u32 *word)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	die_with_parent();
	sh->waiting[slot] = 1;
	while (raw_futex(word, OP_WAIT, *(volatile u32 *)word, 0, NULL, 0) == -EINTR)
		;
	_exit(0);
}

pid_t start_pi_waiter(int slot, u32 *word, int priority)
{
	pid_t pid = fork();
	struct sched_param param = { .sched_priority = priority };
	u32 place;

	if (pid)
		return pid;
	die_with_parent();
	if (priority && sched_setscheduler(0, SCHED_FIFO, &param))
		_exit(2);
	sh->waiting[slot] = 1;
	if (raw_futex(word, OP_LOCK_PI, 0, 0, NULL, 0))
		_exit(3);
	place = __atomic_fetch_add(&sh->acquired, 1, __ATOMIC_SEQ_CST);
	if (place < MAX_WAITERS) {
		sh->order[place] = slot;
		sh->seen[place] = *(volatile u32 *)word;
	}
	if (raw_futex(word, OP_UNLOCK_PI, 0, 0, NULL, 0))
		_exit(4);
	_exit(0);
}

char state_of(pid_t pid)
{
	char path[40], text[200], *end;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = 0;
	end = strrchr(text, ')');
	return end ? end[2] : 0;
}

void await_pi_blocked(pid_t pid, int slot)
{
	/* After the flag the only interruptible sleep is the one in the lock. */
	while (!sh->waiting[slot] || state_of(pid) != 'S') {
		if (state_of(pid) == 'Z')
			bail("a PI waiter ended instead of sleeping");
		sched_yield();
	}
}

void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}
