/* SPDX-License-Identifier: MIT */
/*
 * The two places where a victim stops by itself.
 *
 * void deadbolt_crash_stepped_call(void (*operation)(void *), void *argument)
 *     int3                          the tracer starts to count here
 *   deadbolt_crash_stepped_begin:
 *     operation(argument)
 *   deadbolt_crash_stepped_end:     the tracer stops here: nothing after it is counted
 *     int3
 *
 * void deadbolt_crash_stop(void)
 *     int3
 *   deadbolt_crash_stopped:         from a signal handler: "I am inside"
 *
 * Live registers: rdi and rsi are the arguments; rax takes the operation, so that
 * the first instruction counted is the call itself.
 */
	.text

	.globl	deadbolt_crash_stepped_call
	.globl	deadbolt_crash_stepped_begin
	.globl	deadbolt_crash_stepped_end
	.hidden	deadbolt_crash_stepped_begin
	.hidden	deadbolt_crash_stepped_end
	.type	deadbolt_crash_stepped_call, @function
deadbolt_crash_stepped_call:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	movq	%rdi, %rax
	movq	%rsi, %rdi
	int3
deadbolt_crash_stepped_begin:
	call	*%rax
deadbolt_crash_stepped_end:
	int3
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	deadbolt_crash_stepped_call, . - deadbolt_crash_stepped_call

	.globl	deadbolt_crash_stop
	.globl	deadbolt_crash_stopped
	.hidden	deadbolt_crash_stopped
	.type	deadbolt_crash_stop, @function
deadbolt_crash_stop:
	.cfi_startproc
	int3
deadbolt_crash_stopped:
	ret
	.cfi_endproc
	.size	deadbolt_crash_stop, . - deadbolt_crash_stop

	.section .note.GNU-stack, "", @progbits
