/* SPDX-License-Identifier: MIT */
/* What the probe has that depends on the processor; see unlock_windows/probe_protocol.h. */
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_PROBE_PROCESSOR_H
#define DEADBOLT_GUARD_ARCH_AARCH64_PROBE_PROCESSOR_H

static inline long robust_list_head(void) {
  long head = 0;
  long size = 0;
  register long number __asm__("x8") = 100; /* get_robust_list */
  register long result __asm__("x0") = 0;
  register long* to_head __asm__("x1") = &head;
  register long* to_size __asm__("x2") = &size;
  __asm__ volatile("svc #0" : "+r"(result) : "r"(number), "r"(to_head), "r"(to_size) : "memory");
  return result == 0 ? head : 0;
}

static inline void stop(long what, long head, long waiter) {
  register long in_x8 __asm__("x8") = what;
  register long in_x0 __asm__("x0") = head;
  register long in_x1 __asm__("x1") = waiter;
  __asm__ volatile("brk #0" : : "r"(in_x8), "r"(in_x0), "r"(in_x1) : "memory");
}

/* The loader's function for the end of the process is in x0. */
#define PROBE_START                                                                                \
  ".globl _start\n"                                                                                \
  ".type _start, %function\n"                                                                      \
  "_start:\n"                                                                                      \
  "  mov x29, #0\n"                                                                                \
  "  mov x30, #0\n"                                                                                \
  "  mov x1, x0\n"                                                                                 \
  "  mov x0, sp\n"                                                                                 \
  "  bl begin\n"                                                                                   \
  "  udf #0\n"                                                                                     \
  ".size _start, . - _start\n"

#endif
