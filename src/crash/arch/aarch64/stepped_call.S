/* SPDX-License-Identifier: MIT */
/*
 * The two places where a victim stops by itself: those of x86_64/stepped_call.S. A brk leaves
 * the program counter at itself; the tracer puts it behind.
 *
 * Live registers: x0 and x1 are the arguments; x9 takes the operation, so that the first
 * instruction counted is the call itself.
 */
	.text

	.globl	deadbolt_crash_stepped_call
	.globl	deadbolt_crash_stepped_begin
	.globl	deadbolt_crash_stepped_end
	.hidden	deadbolt_crash_stepped_begin
	.hidden	deadbolt_crash_stepped_end
	.type	deadbolt_crash_stepped_call, %function
deadbolt_crash_stepped_call:
	.cfi_startproc
	stp	x29, x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_offset 29, -16
	.cfi_offset 30, -8
	mov	x29, sp
	mov	x9, x0
	mov	x0, x1
	brk	#0
deadbolt_crash_stepped_begin:
	blr	x9
deadbolt_crash_stepped_end:
	brk	#0
	ldp	x29, x30, [sp], #16
	.cfi_restore 29
	.cfi_restore 30
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	deadbolt_crash_stepped_call, . - deadbolt_crash_stepped_call

	.globl	deadbolt_crash_stop
	.globl	deadbolt_crash_stopped
	.hidden	deadbolt_crash_stopped
	.type	deadbolt_crash_stop, %function
deadbolt_crash_stop:
	.cfi_startproc
	brk	#0
deadbolt_crash_stopped:
	ret
	.cfi_endproc
	.size	deadbolt_crash_stop, . - deadbolt_crash_stop

	.section .note.GNU-stack, "", %progbits
