/* SPDX-License-Identifier: MIT */
/* What every unlock block of this folder opens and closes with, and how it releases a word. */
#ifndef DEADBOLT_ARCH_AARCH64_UNLOCK_BLOCK_H
#define DEADBOLT_ARCH_AARCH64_UNLOCK_BLOCK_H

#include <deadbolt/critical_section.h>

/* From the kernel's ABI: struct robust_list_head, futex(2), aarch64 numbers. */
#define HEAD_LIST_OP_PENDING 16
#define SYS_FUTEX 98
#define FUTEX_WAKE 1
#define FUTEX_WAKE_OP 5
#define FUTEX_UNLOCK_PI 7
#define FUTEX_WAITERS 0x80000000
#define FUTEX_WAITERS_BIT 31
#define FUTEX_OWNER_AND_FLAGS_BUT_WAITERS 0x7fffffff

/*
 * Registers, in every block of this folder:
 *
 *   x9   head                       w12  status of the store exclusive; 0 in the LSE blocks
 *   x10  what must outlive a call   w13  expected
 *   x11  uaddr                      w14  seen
 *
 * Of these registers a system call changes x0 only. x7 is not used, because a tracer sees another
 * value there at system call stops; nor x16 and x17, which the linker may use between two blocks;
 * nor x18, which is the platform's.
 *
 * Nothing is stored on the stack, and the return address stays in x30: there is nothing that
 * pointer authentication would have to sign. Blocks are called through pointers, so each begins
 * with a landing pad for branch target identification; the note below says so to the linker.
 */

/* The blocks with LSE instructions are run where the processor has them. */
.arch armv8-a+lse

/*
 * if *x0 = w13, then *x0 = 0: leaves what it saw in w14, branches to \differs if that is not w13,
 * and may branch back to itself. The caller sets w12 to 0 before. \released is the label of the
 * first instruction at which the word can be released. The word is released there, and behind it,
 * if w14 = w13 and w12 = 0 (DEADBOLT_CS_EXCHANGED): CAS sets no flags, and stores if what it saw is
 * what was expected; the store exclusive is reached with that value only and says in w12 whether
 * it stored.
 *
 * A thread that is interrupted between the exclusives has stored nothing: the return to user
 * space clears the processor's exclusive monitor, so the store fails and the loop starts again.
 */
.macro release_expected variant, released, differs
.ifc \variant, lse
  mov w14, w13
  casl w14, wzr, [x0]
\released:
  cmp w14, w13
  b.ne \differs
.else
\released\()_retry:
  ldxr w14, [x0]
  cmp w14, w13
  b.ne \differs
  stlxr w12, wzr, [x0]
\released:
  cbnz w12, \released\()_retry
.endif
.endm

/* The same whatever the word holds; w10 = what it held. The caller sets w12, w13 and w14 to 0. */
.macro release_any variant, released
.ifc \variant, lse
  swpl wzr, w10, [x11]
\released:
.else
\released\()_retry:
  ldxr w10, [x11]
  stlxr w12, wzr, [x11]
\released:
  cbnz w12, \released\()_retry
.endif
.endm

/*
 * Opens the block NAME. It defines the labels NAME_window_begin, NAME_owed_end
 * and NAME_window_end itself. The header lies in the text section, in front of
 * the code, so that a guard that can read the instruction can read it.
 */
.macro unlock_block name, kind
  .pushsection .text.deadbolt_unlock_blocks, "ax", %progbits
  .balign DEADBOLT_CS_SIZE
\name\()_block:
  .quad DEADBOLT_CS_MAGIC_LOW, DEADBOLT_CS_MAGIC_HIGH
  .byte DEADBOLT_CS_VERSION, \kind
  .byte \name\()_window_begin - \name\()_block
  .byte \name\()_owed_end - \name\()_block
  .byte \name\()_window_end - \name\()_block
  .byte DEADBOLT_CS_AARCH64, 0, 0
  .globl \name
  .hidden \name
  .type \name, %function
\name:
  .cfi_startproc
  hint #34 /* bti c */
.endm

.macro unlock_block_end name
  .cfi_endproc
  .size \name, . - \name
  /* Nothing but this block in its 128 bytes; zeros are an undefined instruction. A block that
   * is too long moves .org backwards, which the assembler refuses. */
  .org \name\()_block + DEADBOLT_CS_SIZE, 0
  .popsection
.endm

/* NAME: goes on to NAME_lse or NAME_llsc. Until the library's constructor has looked at the
 * processor that is NAME_llsc, which every processor can run. */
.macro choose_variant name
  .pushsection .text, "ax", %progbits
  .balign 16
  .globl \name
  .hidden \name
  .type \name, %function
\name:
  .cfi_startproc
  hint #34 /* bti c */
  adrp x9, deadbolt_has_lse
  ldrb w9, [x9, #:lo12:deadbolt_has_lse]
  cbz w9, \name\()_without_lse
  b \name\()_lse
\name\()_without_lse:
  b \name\()_llsc
  .cfi_endproc
  .size \name, . - \name
  .popsection
.endm

/* GNU_PROPERTY_AARCH64_FEATURE_1_AND: branch targets are marked (1), and no return address is left
 * unsigned in memory (2). */
.macro branch_protection_note
  .pushsection .note.gnu.property, "a", %note
  .balign 8
  .word 4, 16, 5
  .asciz "GNU"
  .word 0xc0000000, 4, 3, 0
  .popsection
.endm

#endif
