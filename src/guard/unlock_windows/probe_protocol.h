/* SPDX-License-Identifier: MIT */
/*
 * Between `deadbolt windows` and the program that it steps (probe.c).
 *
 * The probe gets four one-letter arguments:
 *   kind       n r e   normal, recursive, errorcheck
 *   protocol   - i     none, priority inheritance
 *   sharing    s p     process-shared, private to the process
 *   operation  u  unlock
 *              w  unlock with a process asleep in lock
 *              c  pthread_cond_timedwait, to its unlock
 *              d  the same with a process asleep in lock
 *              l  lock
 *              o  lock after the owner has died
 *              x  lock of a mutex that is not recoverable
 *              t  the same by pthread_mutex_timedlock
 *              y  pthread_cond_timedwait after the owner has died: its unlock leaves the mutex not
 *                 recoverable, and its way back is the second release
 * It stops itself twice, by a breakpoint instruction: before the operation, where the
 * register of a system call's number (rax, x8) is DEADBOLT_PROBE_READY, that of its first
 * argument the address of the thread's robust list head, and that of its second the
 * waiter's process id (0: none); and after it, where the first is DEADBOLT_PROBE_DONE.
 * Without a robust list it exits with DEADBOLT_PROBE_NO_LIST: such a mutex has no
 * window. Any other exit status is a failure.
 */
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_PROBE_PROTOCOL_H
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_PROBE_PROTOCOL_H

#define DEADBOLT_PROBE_READY 0x64656164
#define DEADBOLT_PROBE_DONE 0x626f6c74
#define DEADBOLT_PROBE_NO_LIST 5

#endif
