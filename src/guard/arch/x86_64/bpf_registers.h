/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The registers that the BPF program reads on x86-64, where 32-bit code has a list of its own. */
#ifndef DEADBOLT_GUARD_ARCH_X86_64_BPF_REGISTERS_H
#define DEADBOLT_GUARD_ARCH_X86_64_BPF_REGISTERS_H

#include <thread_state.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* 16 bits where the kernel supports FRED; the bits beside them are another field. */
struct pt_regs {
  unsigned long ax;
  unsigned long ip;
  unsigned short cs;
  unsigned long flags;
};

#pragma clang attribute pop

static __always_inline void read_thread_state(struct pt_regs* registers,
                                              struct deadbolt_thread_state* state) {
  state->ip = BPF_CORE_READ(registers, ip);
  state->rax = BPF_CORE_READ(registers, ax);
  state->flags = BPF_CORE_READ(registers, flags);
  state->cs = BPF_CORE_READ(registers, cs);
}

/* 32-bit code in which the guard repairs. */
static __always_inline bool is_compat_code(const struct deadbolt_thread_state* state) {
  return state->cs == DEADBOLT_USER_CS_32;
}

/* Makes the state of 32-bit code fit the rule for 64-bit code: results of system calls are as wide
 * as the registers, and are sign-extended. */
static __always_inline void widen(struct deadbolt_thread_state* state) {
  state->ip = (uint32_t)state->ip;
  state->rax = (uint64_t)(int64_t)(int32_t)(uint32_t)state->rax;
  state->cs = DEADBOLT_USER_CS_64;
}

#endif
