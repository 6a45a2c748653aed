/* SPDX-License-Identifier: MIT */
/*
 * robust_futex_unlock() on a kernel that offers no help: the three steps of
 * x86_64/robust_futex_unlock.S, whose pseudo-code holds here; registers and proof of a release
 * differ (unlock_block.h). Each exists twice, with the atomic instructions of
 * Armv8.1 (lse) and with load and store exclusive (llsc).
 *
 * On entry: x0 = uaddr, x1 = head, w2 = expected. Result: w0. unlock_block.h has the registers
 * in between and the proof of a release.
 */
#include "unlock_block.h"

/*
 * Live in the window: x1 = head, w14 = seen, w13 = expected, w12.
 * Exits: ret (released); contended, with x0, x1 and w14 as they are; abort, with
 * x0, x1 and w2 as on entry.
 */
.macro uncontended variant
unlock_block deadbolt_local_futex_unlock_\variant, DEADBOLT_CS_EXCHANGED
  mov w13, w2
  mov w12, wzr
  release_expected \variant, deadbolt_local_futex_unlock_\variant\()_window_begin, seen_another_\variant
  .set deadbolt_local_futex_unlock_\variant\()_owed_end, deadbolt_local_futex_unlock_\variant\()_window_begin
  str xzr, [x1, #HEAD_LIST_OP_PENDING]
deadbolt_local_futex_unlock_\variant\()_window_end:
  mov w0, w14
  ret
seen_another_\variant:
  eor w10, w14, w13
  eor w10, w10, #FUTEX_WAITERS
  cbz w10, deadbolt_local_futex_unlock_contended_\variant
  b deadbolt_abort_unlock_of_changed_word
unlock_block_end deadbolt_local_futex_unlock_\variant
.endm

/*
 * FUTEX_WAKE_OP's operation word is 0, as on x86-64: set to 0, and wake no second waiter.
 *
 * Live in the window: x0 = the system call's result, x9 = head, w10 = seen, x11 = uaddr.
 * A thread can die at the entry of the call too (a filter, a tracer). Its instruction pointer is
 * behind the call already, and x0 is still uaddr: an aligned address of user space, which is no
 * result that means released.
 * Exits: ret (released); refused, with x9 and x11 as they are.
 */
.macro contended variant
unlock_block deadbolt_local_futex_unlock_contended_\variant, DEADBOLT_CS_WAKE_OP
  mov x9, x1
  mov w10, w14
  mov x11, x0
  mov w1, #FUTEX_WAKE_OP
  mov w2, #1
  mov x3, xzr
  mov x4, x0
  mov w5, wzr
  mov x8, #SYS_FUTEX
  svc #0
deadbolt_local_futex_unlock_contended_\variant\()_window_begin:
deadbolt_local_futex_unlock_contended_\variant\()_owed_end:
  cmp x0, #DEADBOLT_CS_WAKE_OP_MAX_WOKEN
  b.ls contended_clear_\variant
  cmn x0, #-DEADBOLT_CS_WAKE_OP_PI_WAITER
  b.ne deadbolt_local_futex_unlock_refused_\variant
contended_clear_\variant:
  str xzr, [x9, #HEAD_LIST_OP_PENDING]
deadbolt_local_futex_unlock_contended_\variant\()_window_end:
  and w0, w10, #FUTEX_OWNER_AND_FLAGS_BUT_WAITERS
  ret
unlock_block_end deadbolt_local_futex_unlock_contended_\variant
.endm

/*
 * The kernel, or a filter in front of it, did not take FUTEX_WAKE_OP.
 *
 * Live in the window: x9 = head, w10 = seen, x11 = uaddr, w12 = w13 = w14 = 0.
 * Exits: ret.
 */
.macro refused variant
unlock_block deadbolt_local_futex_unlock_refused_\variant, DEADBOLT_CS_EXCHANGED
  mov w12, wzr
  mov w13, wzr
  mov w14, wzr
  release_any \variant, deadbolt_local_futex_unlock_refused_\variant\()_window_begin
  mov x0, x11
  mov w1, #FUTEX_WAKE
  mov w2, #1
  mov x8, #SYS_FUTEX
  svc #0
deadbolt_local_futex_unlock_refused_\variant\()_owed_end:
  str xzr, [x9, #HEAD_LIST_OP_PENDING]
deadbolt_local_futex_unlock_refused_\variant\()_window_end:
  and w0, w10, #FUTEX_OWNER_AND_FLAGS_BUT_WAITERS
  ret
unlock_block_end deadbolt_local_futex_unlock_refused_\variant
.endm

  uncontended lse
  contended lse
  refused lse
  uncontended llsc
  contended llsc
  refused llsc
  choose_variant deadbolt_local_futex_unlock

branch_protection_note
.section .note.GNU-stack, "", %progbits
