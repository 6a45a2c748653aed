// SPDX-License-Identifier: GPL-2.0
/* TAP on standard output, unbuffered: children may die at any instruction. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

static int count, failed;

static void line(const char *start, const char *format, va_list args)
{
	char text[600];
	int used = snprintf(text, sizeof(text), "%s", start);

	used += vsnprintf(text + used, sizeof(text) - used - 1, format, args);
	if (used > (int)sizeof(text) - 2)
		used = sizeof(text) - 2;
	text[used++] = '\n';
	if (write(1, text, used) != used)
		_exit(1);
}

bool ok(bool good, const char *format, ...)
{
	char start[40];
	va_list args;

	snprintf(start, sizeof(start), "%sok %d - ", good ? "" : "not ", ++count);
	failed += !good;
	va_start(args, format);
	line(start, format, args);
	va_end(args);
	return good;
}

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line("# ", format, args);
	va_end(args);
}

void bail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line("Bail out! ", format, args);
	va_end(args);
	_exit(1);
}

int tap_done(void)
{
	char plan[40];
	int length = snprintf(plan, sizeof(plan), "1..%d\n", count);

	if (write(1, plan, length) != length)
		return 1;
	return failed || !count;
}

static void barked(int signal)
{
	static const char text[] = "Bail out! watchdog\n";

	(void)signal;
	(void)!write(1, text, strlen(text));
	_exit(1);
}

void watchdog(unsigned int seconds)
{
	signal(SIGALRM, barked);
	alarm(seconds);
}
