/* SPDX-License-Identifier: MIT */
/* What the probe has that depends on the processor; see unlock_windows/probe_protocol.h. */
#ifndef DEADBOLT_GUARD_ARCH_X86_64_PROBE_PROCESSOR_H
#define DEADBOLT_GUARD_ARCH_X86_64_PROBE_PROCESSOR_H

static inline long robust_list_head(void) {
  enum { get_robust_list = 274 };
  long head = 0;
  long size = 0;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"((long)get_robust_list), "D"(0L), "S"(&head), "d"(&size)
                   : "rcx", "r11", "memory");
  return result == 0 ? head : 0;
}

static inline void stop(long what, long head, long waiter) {
  __asm__ volatile("int3" : : "a"(what), "D"(head), "S"(waiter) : "memory");
}

/* The loader's function for the end of the process is in rdx. */
#define PROBE_START                                                                                \
  ".globl _start\n"                                                                                \
  ".type _start, @function\n"                                                                      \
  "_start:\n"                                                                                      \
  "  xorl %ebp, %ebp\n"                                                                            \
  "  movq %rsp, %rdi\n"                                                                            \
  "  movq %rdx, %rsi\n"                                                                            \
  "  andq $-16, %rsp\n"                                                                            \
  "  call begin\n"                                                                                 \
  "  hlt\n"                                                                                        \
  ".size _start, . - _start\n"

#endif
