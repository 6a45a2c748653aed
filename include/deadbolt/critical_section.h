/* SPDX-License-Identifier: MIT */
/*
 * The contract between unlock code and the guards that watch it.
 *
 * A critical section is a 128-byte aligned block of hand-written code that unlocks: it releases the
 * lock word, and then clears the thread's list_op_pending. The instructions in between are its
 * unlock window, which the block itself describes. To find the block, a guard needs nothing but the
 * thread's instruction pointer: it reads the 24 bytes at `ip & ~127`. If they begin with the
 * magic, the others give the window, and how the registers show what the thread has done.
 * Blocks need no registration and no symbol table.
 *
 *   offset  bytes  field
 *        0     16  magic
 *       16      1  version of this format
 *       17      1  kind: what proves that the word was released
 *       18      1  window_begin: first instruction after the release
 *       19      1  owed_end: first instruction at which no wake is owed
 *       20      1  window_end: first instruction after the clear of list_op_pending
 *       21      1  architecture: which registers the kind is about
 *       22      2  zero
 *       24         code
 *
 * window_begin <= owed_end <= window_end <= 128. An IP in
 * [window_begin, window_end) is in the window. In [window_begin, owed_end) the
 * word is released and a wake is still owed; where a release wakes by itself,
 * or never happens with waiters, owed_end equals window_begin.
 *
 * The block does not say where `list_op_pending` is: the guard asks the kernel for
 * the thread's robust list head. No block can therefore make a guard write anywhere
 * but into list_op_pending.
 */
#ifndef DEADBOLT_CRITICAL_SECTION_H
#define DEADBOLT_CRITICAL_SECTION_H

#define DEADBOLT_CS_SIZE 128
#define DEADBOLT_CS_CODE_OFFSET 24
#define DEADBOLT_CS_VERSION 1

/* The magic as two little-endian 64-bit halves. Chosen at random; they do not
 * decode to instructions that a compiler emits. */
#define DEADBOLT_CS_MAGIC_LOW 0xf1b3a7c60dd5e9f1
#define DEADBOLT_CS_MAGIC_HIGH 0xf20e6b954cd81af1

/* Architectures. A guard acts only on blocks of its own architecture. */
#define DEADBOLT_CS_X86_64 0
#define DEADBOLT_CS_AARCH64 1

/*
 * Kinds. The registers are those of the interrupted thread; the result of a system call is in rax
 * on x86-64 and in x0 on aarch64.
 *
 * aarch64's compare-exchange sets no flags. Its block has the expected value in w13, the value
 * seen in w14, and in w12 the status of a store exclusive, or 0 where it uses none. Where nothing
 * was compared, w13 = w14 = 0.
 */
#define DEADBOLT_CS_ZF 1        /* x86-64: released iff ZF is set (compare-exchange) */
#define DEADBOLT_CS_EXCHANGED 1 /* aarch64: released iff w14 = w13 and w12 = 0 */
#define DEADBOLT_CS_WAKE_OP 2   /* released iff the result says so: see below */
#define DEADBOLT_CS_UNLOCK_PI 3 /* released iff the result is 0 */
#define DEADBOLT_CS_ALWAYS 4    /* x86-64: an IP in the window is proof (exchange) */

/*
 * FUTEX_WAKE_OP on one address, as a release: the results that mean that the kernel
 * wrote the word. 0 and 1 count the woken waiters. -EINVAL comes after the write, when
 * the first waiter turns out to be a PI waiter; misalignment also gives -EINVAL, but
 * the library checks that before. After every other result the word is unchanged: -EFAULT;
 * -EPERM and -ENOSYS from a seccomp filter; 202, which is the number of the call, when a seccomp
 * tracer on x86-64 skips it and leaves the register as it is.
 * Measured by tests/unit/futex_wake_op_test.cpp.
 */
#define DEADBOLT_CS_WAKE_OP_MAX_WOKEN 1
#define DEADBOLT_CS_WAKE_OP_PI_WAITER (-22)

/* The command name (PR_SET_NAME) under which a ptrace guard runs, so that the
 * library can tell it from a debugger. */
#define DEADBOLT_PTRACE_GUARD_COMM "deadbolt-guard"

#ifndef __ASSEMBLER__

#include <stdint.h>

struct deadbolt_critical_section {
  uint64_t magic[2];
  uint8_t version;
  uint8_t kind;
  uint8_t window_begin;
  uint8_t owed_end;
  uint8_t window_end;
  uint8_t architecture;
  uint8_t zero[2];
};

#endif
#endif
