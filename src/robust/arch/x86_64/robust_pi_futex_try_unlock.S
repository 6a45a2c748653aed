/* SPDX-License-Identifier: MIT */
/*
 * robust_pi_futex_try_unlock() on a kernel without robust-unlock functions.
 *
 *   uncontended: if no WAITERS in *expected:
 *                  if compare_exchange(*uaddr, *expected, 0):  released
 *                    head->list_op_pending = 0                 window ends
 *                    return 1
 *                  if the value seen differs by more than WAITERS:
 *                    *expected = the value seen
 *                    return 0
 *   contended:   do r = futex(uaddr, FUTEX_UNLOCK_PI) while r is -EAGAIN
 *                if r is 0:                                    released, handed on
 *                  head->list_op_pending = 0                   window ends
 *                  return 1
 *                *expected |= WAITERS
 *                return 0
 *
 * Only the kernel can hand on a PI word with waiters. This function calls FUTEX_UNLOCK_PI
 * itself and reports success, so that the caller's own code has no unlock window. If
 * the kernel refuses, the function fails and the caller's FUTEX_UNLOCK_PI returns the error.
 *
 * Registers: rdi = uaddr, rsi = expected, rdx = head on entry, eax = the result;
 * r8 = expected across the system call, which keeps rdi, rdx and r8.
 */
#include "unlock_block.h"

#define EAGAIN 11

/*
 * Live in the window: rdx = head, rsi = expected, ZF = released.
 * Exits: ret; contended, with rdi, rsi and rdx as on entry.
 */
unlock_block deadbolt_local_pi_futex_try_unlock, DEADBOLT_CS_ZF
  mov (%rsi), %eax
  test %eax, %eax
  js deadbolt_local_pi_futex_unlock_contended
  xor %ecx, %ecx
  lock cmpxchg %ecx, (%rdi)
deadbolt_local_pi_futex_try_unlock_window_begin:
deadbolt_local_pi_futex_try_unlock_owed_end:
  jnz pi_seen_another
  movq $0, HEAD_LIST_OP_PENDING(%rdx)
deadbolt_local_pi_futex_try_unlock_window_end:
  mov $1, %eax
  ret
pi_seen_another:
  mov (%rsi), %ecx
  mov %eax, (%rsi)
  xor %eax, %ecx
  cmp $FUTEX_WAITERS, %ecx
  je deadbolt_local_pi_futex_unlock_contended
  xor %eax, %eax
  ret
unlock_block_end deadbolt_local_pi_futex_try_unlock

/*
 * Live in the window: rax = the system call's result, rdx = head.
 * Exits: ret.
 */
unlock_block deadbolt_local_pi_futex_unlock_contended, DEADBOLT_CS_UNLOCK_PI
  mov %rsi, %r8
pi_hand_on:
  mov $FUTEX_UNLOCK_PI, %esi
  mov $SYS_FUTEX, %eax
  syscall
deadbolt_local_pi_futex_unlock_contended_window_begin:
deadbolt_local_pi_futex_unlock_contended_owed_end:
  cmp $-EAGAIN, %rax
  je pi_hand_on
  test %rax, %rax
  jnz pi_refused
  movq $0, HEAD_LIST_OP_PENDING(%rdx)
deadbolt_local_pi_futex_unlock_contended_window_end:
  mov $1, %eax
  ret
pi_refused:
  orl $FUTEX_WAITERS, (%r8)
  xor %eax, %eax
  ret
unlock_block_end deadbolt_local_pi_futex_unlock_contended

.section .note.GNU-stack, "", @progbits
