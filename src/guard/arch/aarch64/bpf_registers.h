/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The registers that the BPF program reads on aarch64. There are no unlock blocks in 32-bit code,
 * so it is not repaired. */
#ifndef DEADBOLT_GUARD_ARCH_AARCH64_BPF_REGISTERS_H
#define DEADBOLT_GUARD_ARCH_AARCH64_BPF_REGISTERS_H

#include <thread_state.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
  unsigned long long regs[DEADBOLT_X_REGISTERS];
  unsigned long long pc;
  unsigned long long pstate;
};

#pragma clang attribute pop

static __always_inline void read_thread_state(struct pt_regs* registers,
                                              struct deadbolt_thread_state* state) {
  state->ip = BPF_CORE_READ(registers, pc);
  state->pstate = BPF_CORE_READ(registers, pstate);
  BPF_CORE_READ_INTO(&state->x, registers, regs);
}

static __always_inline bool is_compat_code(const struct deadbolt_thread_state* state) {
  (void)state;
  return false;
}

static __always_inline void widen(struct deadbolt_thread_state* state) {
  (void)state;
}

#endif
