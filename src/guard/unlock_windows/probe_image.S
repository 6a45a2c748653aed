/* SPDX-License-Identifier: MIT */
	.section .rodata
	.globl	deadbolt_libc_probe_begin
	.globl	deadbolt_libc_probe_end
deadbolt_libc_probe_begin:
	.incbin DEADBOLT_LIBC_PROBE_FILE
deadbolt_libc_probe_end:
	.byte	0
	.section .note.GNU-stack, "", @progbits
