/* SPDX-License-Identifier: MIT */
/*
 * robust_futex_unlock() on a kernel without robust-unlock functions.
 *
 * Three blocks, each with one window. A block that cannot release jumps to the next one:
 *
 *   uncontended: seen = expected
 *                if compare_exchange(*uaddr, seen, 0):         released
 *                  head->list_op_pending = 0                   window ends
 *                  return seen
 *                if seen is not expected with WAITERS: abort
 *   contended:   r = futex(uaddr, FUTEX_WAKE_OP, 1, -, uaddr, SET 0)
 *                if r says released:                           released, woken
 *                  head->list_op_pending = 0                   window ends
 *                  return seen without WAITERS
 *   refused:     seen = exchange(*uaddr, 0)                    released
 *                futex(uaddr, FUTEX_WAKE, 1)                   a wake is owed
 *                head->list_op_pending = 0                     window ends
 *                return seen without WAITERS
 *
 * The uncontended release is a compare-exchange, not the exchange of the vDSO
 * function: it must not release a word with WAITERS, since a stock kernel cannot
 * be told of the wake that would then be owed. The caller passes the owner's bits as
 * `expected`, because other threads only ever add WAITERS to them. So the block need
 * not read the word first: a load of what a locked instruction wrote just before costs
 * a quarter of the whole lock and unlock (docs/performance.md).
 *
 * Registers: rdi = uaddr, rsi = head, edx = expected on entry, eax = the result. Values that
 * must survive the system call lie in the red zone, which neither the kernel nor a
 * signal handler changes: -8(%rsp) = head, -12(%rsp) = seen.
 */
#include "unlock_block.h"

/*
 * Live in the window: rsi = head, eax = seen, ZF = released.
 * Exits: ret (released); contended, with rdi, rsi and eax as they are; abort, with
 * rdi and edx as on entry.
 */
unlock_block deadbolt_local_futex_unlock, DEADBOLT_CS_ZF
  mov %edx, %eax
  xor %ecx, %ecx
  lock cmpxchg %ecx, (%rdi)
deadbolt_local_futex_unlock_window_begin:
deadbolt_local_futex_unlock_owed_end:
  jnz uncontended_seen_another
  movq $0, HEAD_LIST_OP_PENDING(%rsi)
deadbolt_local_futex_unlock_window_end:
  ret
uncontended_seen_another:
  mov %eax, %ecx
  xor %edx, %ecx
  cmp $FUTEX_WAITERS, %ecx
  je deadbolt_local_futex_unlock_contended
  jmp deadbolt_abort_unlock_of_changed_word
unlock_block_end deadbolt_local_futex_unlock

/*
 * FUTEX_WAKE_OP's operation word is 0: FUTEX_OP_SET of 0, and FUTEX_OP_CMP_EQ
 * with 0, which is false because the old value has WAITERS. (If it were true, the
 * kernel would wake one more waiter.)
 *
 * Live in the window: rax = the system call's result, rdi = uaddr.
 * Exits: ret (released); refused, with rdi as it is and the red zone filled.
 */
unlock_block deadbolt_local_futex_unlock_contended, DEADBOLT_CS_WAKE_OP
  mov %rsi, -8(%rsp)
  mov %eax, -12(%rsp)
  mov %rdi, %r8
  mov $FUTEX_WAKE_OP, %esi
  mov $1, %edx
  xor %r10d, %r10d
  xor %r9d, %r9d
  mov $SYS_FUTEX, %eax
  syscall
deadbolt_local_futex_unlock_contended_window_begin:
deadbolt_local_futex_unlock_contended_owed_end:
  cmp $DEADBOLT_CS_WAKE_OP_MAX_WOKEN, %rax
  jbe contended_clear
  cmp $DEADBOLT_CS_WAKE_OP_PI_WAITER, %rax
  jne deadbolt_local_futex_unlock_refused
contended_clear:
  mov -8(%rsp), %rcx
  movq $0, HEAD_LIST_OP_PENDING(%rcx)
deadbolt_local_futex_unlock_contended_window_end:
  mov -12(%rsp), %eax
  and $FUTEX_OWNER_AND_FLAGS_BUT_WAITERS, %eax
  ret
unlock_block_end deadbolt_local_futex_unlock_contended

/*
 * The kernel, or a seccomp filter, has refused FUTEX_WAKE_OP.
 *
 * Live in the window: rdi = uaddr, -8(%rsp) = head.
 * Exits: ret.
 */
unlock_block deadbolt_local_futex_unlock_refused, DEADBOLT_CS_ALWAYS
  xor %eax, %eax
  xchg %eax, (%rdi)
deadbolt_local_futex_unlock_refused_window_begin:
  mov %eax, -12(%rsp)
  mov $FUTEX_WAKE, %esi
  mov $1, %edx
  mov $SYS_FUTEX, %eax
  syscall
deadbolt_local_futex_unlock_refused_owed_end:
  mov -8(%rsp), %rcx
  movq $0, HEAD_LIST_OP_PENDING(%rcx)
deadbolt_local_futex_unlock_refused_window_end:
  mov -12(%rsp), %eax
  and $FUTEX_OWNER_AND_FLAGS_BUT_WAITERS, %eax
  ret
unlock_block_end deadbolt_local_futex_unlock_refused

.section .note.GNU-stack, "", @progbits
