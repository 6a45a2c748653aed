/* SPDX-License-Identifier: MIT */
/*
 * Unlocking a robust futex so that death at any instruction is covered.
 *
 * The two functions behave as the vDSO functions that were proposed for Linux in March
 * 2026, and call the kernel's own where there are any: deadbolt_engine() names the engine, that
 * is, the way to unlock. They are for authors of lock libraries: a program that needs a mutex
 * includes deadbolt/robust_mutex.hpp or robust_mutex.h.
 */
#ifndef DEADBOLT_ROBUST_FUTEX_H
#define DEADBOLT_ROBUST_FUTEX_H

#include <deadbolt/detail/needs_robust_locks.h>

#include <linux/futex.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/*
 * Releases the lock word at uaddr and returns its old value.
 *
 * Before: the calling thread owns *uaddr, has stored the entry of this lock
 * in head->list_op_pending, and has taken the entry off its robust list. head
 * is the head that the calling thread registered with the kernel. Waiters sleep
 * on *uaddr without FUTEX_PRIVATE_FLAG, also if all are in one process.
 *
 * After: if the returned value has FUTEX_WAITERS set, wake one waiter with
 * FUTEX_WAKE on uaddr, without FUTEX_PRIVATE_FLAG, then store NULL to
 * head->list_op_pending; otherwise there is nothing left to do. (An engine that
 * has woken a waiter itself returns the value without FUTEX_WAITERS.) Do not
 * access *uaddr after the call: another owner may already have freed it (a wake
 * that finds no waiter is harmless).
 *
 * uaddr must be aligned to 4 bytes; a null or misaligned one aborts the process
 * with a message that names it. A word that cannot be written raises SIGSEGV
 * or SIGBUS at the word's own address, and nothing else is written. The functions do not
 * check for a null head: the access to its list_op_pending raises SIGSEGV, before or after the
 * release, as the engine does it.
 */
uint32_t robust_futex_unlock(uint32_t* uaddr, struct robust_list_head* head);

/*
 * Tries to release the PI lock word at uaddr by exchanging *expected with 0.
 *
 * Returns non-zero on success, with head->list_op_pending cleared. On failure
 * returns 0, stores the value seen to *expected, and leaves the word owned. The
 * caller loops: if FUTEX_WAITERS is set in *expected, or its TID bits are not the
 * caller's own, it calls FUTEX_UNLOCK_PI and repeats that on EAGAIN. When that has
 * succeeded, it stores NULL to head->list_op_pending; after another error the word is
 * still owned, and list_op_pending must stay set. If FUTEX_WAITERS is clear and the TID
 * is the caller's, it calls this function again. An engine that releases contended words
 * itself returns non-zero for them, so that the caller makes no further call.
 *
 * Preconditions and misuse as for robust_futex_unlock().
 */
int robust_pi_futex_try_unlock(uint32_t* uaddr, uint32_t* expected, struct robust_list_head* head);

/*
 * The engine with which this process unlocks, chosen once when the library is loaded:
 *   "vdso"           __vdso_robust_futex_unlock (the March 2026 proposal)
 *   "vdso_mainline"  __vdso_futex_robust_list64_try_unlock (Linux 7.2)
 *   "syscall"        FUTEX_WAKE (for a PI lock FUTEX_UNLOCK_PI) with FUTEX_ROBUST_UNLOCK for
 *                    every unlock
 *   "local"          the unlock code of this library, <deadbolt/critical_section.h> (needs a guard)
 * The library takes the first of these that the kernel offers. The environment variable
 * DEADBOLT_ENGINE can name one instead; if the kernel does not offer it, the process
 * writes a message to stderr and exits with status 127. Set-user-ID programs ignore it.
 */
const char* deadbolt_engine(void);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
