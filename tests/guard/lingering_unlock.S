/* SPDX-License-Identifier: MIT */
/*
 * An unlock that stays in its window until it is told to go on, so that a test
 * can kill it there every time.
 *
 *   exchange(*word, 0)                          released
 *   do nothing while *go is 0
 *   head->list_op_pending = 0                   window ends
 *
 * Registers: rdi = word, rsi = head, rdx = go.
 */
#include "unlock_block.h"

unlock_block lingering_unlock, DEADBOLT_CS_ALWAYS
  xor %eax, %eax
  xchg %eax, (%rdi)
lingering_unlock_window_begin:
lingering_unlock_owed_end:
lingering_unlock_linger:
  pause
  mov (%rdx), %ecx
  test %ecx, %ecx
  jz lingering_unlock_linger
  movq $0, HEAD_LIST_OP_PENDING(%rsi)
lingering_unlock_window_end:
  ret
unlock_block_end lingering_unlock

.section .note.GNU-stack, "", @progbits
