/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_TAP_H
#define SELFTESTS_TAP_H

#include <stdbool.h>

/* One TAP line. Returns `good`. The plan is printed by tap_done(): a program
 * that dies on the way has none, and the host counts that as a failure. */
bool ok(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void bail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
int tap_done(void);

/* Restarts the watchdog: SIGALRM ends the program with "Bail out!". */
void watchdog(unsigned int seconds);

#endif
