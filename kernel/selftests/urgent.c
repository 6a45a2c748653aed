// SPDX-License-Identifier: GPL-2.0
/*
 * urgent PROGRAM [ARGUMENTS]: no test, but a way to run one: on the first CPU, in
 * real time. See trial_setup() for what that does to whoever traces.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "tests.h"

int test_urgent(int argc, char **argv)
{
	struct sched_param param = { .sched_priority = 1 };
	cpu_set_t one;

	if (argc < 2)
		bail("usage: urgent PROGRAM [ARGUMENTS]");
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one) || sched_setscheduler(0, SCHED_FIFO, &param))
		bail("not on one CPU, or not in real time: %s", strerror(errno));
	watchdog(0);
	execvp(argv[1], argv + 1);
	bail("%s: %s", argv[1], strerror(errno));
}
