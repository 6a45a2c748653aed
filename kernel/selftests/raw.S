/* SPDX-License-Identifier: GPL-2.0 */
/*
 * long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
 *
 * 64 and x32: nr a b c d e in rdi rsi rdx rcx r8 r9, f on the stack. x32 moves
 * 32 bits, since the upper half of a `long` argument is not defined there and
 * the kernel takes pointers as 64 bits.
 * 32: everything on the stack; int 0x80, which is there without a vDSO.
 */
	.text
	.globl	raw_syscall
	.type	raw_syscall, @function
raw_syscall:
#ifdef __x86_64__
#ifdef __ILP32__
	mov	%edi, %eax
	mov	%esi, %edi
	mov	%edx, %esi
	mov	%ecx, %edx
	mov	%r8d, %r10d
	mov	%r9d, %r8d
	mov	8(%rsp), %r9d
#else
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	8(%rsp), %r9
#endif
	syscall
	ret
#else
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	20(%esp), %eax
	mov	24(%esp), %ebx
	mov	28(%esp), %ecx
	mov	32(%esp), %edx
	mov	36(%esp), %esi
	mov	40(%esp), %edi
	mov	44(%esp), %ebp
	int	$0x80
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
	ret
#endif
	.size	raw_syscall, . - raw_syscall
	.section .note.GNU-stack, "", @progbits
