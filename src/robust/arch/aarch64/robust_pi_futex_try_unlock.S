/* SPDX-License-Identifier: MIT */
/*
 * robust_pi_futex_try_unlock() on a kernel that offers no help: the two steps of
 * x86_64/robust_pi_futex_try_unlock.S, whose pseudo-code holds here; registers and proof of a
 * release differ (unlock_block.h). Each exists twice, with the atomic instructions of Armv8.1 (lse)
 * and with load and store exclusive (llsc).
 *
 * On entry: x0 = uaddr, x1 = expected, x2 = head. Result: w0. unlock_block.h has the registers in
 * between and the proof of a release.
 */
#include "unlock_block.h"

#define EAGAIN 11

/*
 * Live in the window: x2 = head, x1 = expected, w14 = seen, w13 = *expected, w12.
 * Exits: ret; contended, with x0, x1 and x2 as on entry.
 */
.macro pi_uncontended variant
unlock_block deadbolt_local_pi_futex_try_unlock_\variant, DEADBOLT_CS_EXCHANGED
  ldr w13, [x1]
  tbnz w13, #FUTEX_WAITERS_BIT, deadbolt_local_pi_futex_unlock_contended_\variant
  mov w12, wzr
  release_expected \variant, deadbolt_local_pi_futex_try_unlock_\variant\()_window_begin, pi_seen_another_\variant
  .set deadbolt_local_pi_futex_try_unlock_\variant\()_owed_end, deadbolt_local_pi_futex_try_unlock_\variant\()_window_begin
  str xzr, [x2, #HEAD_LIST_OP_PENDING]
deadbolt_local_pi_futex_try_unlock_\variant\()_window_end:
  mov w0, #1
  ret
pi_seen_another_\variant:
  str w14, [x1]
  eor w14, w14, w13
  eor w14, w14, #FUTEX_WAITERS
  cbz w14, deadbolt_local_pi_futex_unlock_contended_\variant
  mov w0, wzr
  ret
unlock_block_end deadbolt_local_pi_futex_try_unlock_\variant
.endm

/*
 * Live in the window: x0 = the system call's result, x9 = head; at the call's entry x0 = uaddr,
 * which is not 0.
 * Exits: ret.
 */
.macro pi_contended variant
unlock_block deadbolt_local_pi_futex_unlock_contended_\variant, DEADBOLT_CS_UNLOCK_PI
  mov x9, x2
  mov x10, x1
  mov x11, x0
pi_hand_on_\variant:
  mov x0, x11
  mov w1, #FUTEX_UNLOCK_PI
  mov x8, #SYS_FUTEX
  svc #0
deadbolt_local_pi_futex_unlock_contended_\variant\()_window_begin:
deadbolt_local_pi_futex_unlock_contended_\variant\()_owed_end:
  cmn x0, #EAGAIN
  b.eq pi_hand_on_\variant
  cbnz x0, pi_refused_\variant
  str xzr, [x9, #HEAD_LIST_OP_PENDING]
deadbolt_local_pi_futex_unlock_contended_\variant\()_window_end:
  mov w0, #1
  ret
pi_refused_\variant:
  ldr w14, [x10]
  orr w14, w14, #FUTEX_WAITERS
  str w14, [x10]
  mov w0, wzr
  ret
unlock_block_end deadbolt_local_pi_futex_unlock_contended_\variant
.endm

  pi_uncontended lse
  pi_contended lse
  pi_uncontended llsc
  pi_contended llsc
  choose_variant deadbolt_local_pi_futex_try_unlock

branch_protection_note
.section .note.GNU-stack, "", %progbits
