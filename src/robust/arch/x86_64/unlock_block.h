/* SPDX-License-Identifier: MIT */
/* The macros that begin and end every unlock block of this folder. */
#ifndef DEADBOLT_ARCH_X86_64_UNLOCK_BLOCK_H
#define DEADBOLT_ARCH_X86_64_UNLOCK_BLOCK_H

#include <deadbolt/critical_section.h>

/* From the kernel's ABI: struct robust_list_head, futex(2), x86-64 numbers. */
#define HEAD_LIST_OP_PENDING 16
#define SYS_FUTEX 202
#define FUTEX_WAKE 1
#define FUTEX_WAKE_OP 5
#define FUTEX_UNLOCK_PI 7
#define FUTEX_WAITERS 0x80000000
#define FUTEX_OWNER_AND_FLAGS_BUT_WAITERS 0x7fffffff

/*
 * Begins the block NAME. The block's code defines the labels NAME_window_begin,
 * NAME_owed_end and NAME_window_end. The header lies in the text section, in front of
 * the code, so that a guard that can read the instruction can read the header, too.
 */
.macro unlock_block name, kind
  .pushsection .text.deadbolt_unlock_blocks, "ax", @progbits
  .balign DEADBOLT_CS_SIZE
\name\()_block:
  .quad DEADBOLT_CS_MAGIC_LOW, DEADBOLT_CS_MAGIC_HIGH
  .byte DEADBOLT_CS_VERSION, \kind
  .byte \name\()_window_begin - \name\()_block
  .byte \name\()_owed_end - \name\()_block
  .byte \name\()_window_end - \name\()_block
  .byte DEADBOLT_CS_X86_64, 0, 0
  .globl \name
  .hidden \name
  .type \name, @function
\name:
  .cfi_startproc
  endbr64
.endm

.macro unlock_block_end name
  .cfi_endproc
  .size \name, . - \name
  /* The block has its 128 bytes to itself, and the filler traps. If a block is too
   * long, .org would move backwards, which the assembler refuses. */
  .org \name\()_block + DEADBOLT_CS_SIZE, 0xcc
  .popsection
.endm

#endif
