/* SPDX-License-Identifier: MIT */
/* What the repair rule must know of an interrupted thread on aarch64. Plain C, for BPF too. */
#ifndef DEADBOLT_GUARD_ARCH_THREAD_STATE_H
#define DEADBOLT_GUARD_ARCH_THREAD_STATE_H

#include <deadbolt/critical_section.h>

#define DEADBOLT_CS_THIS_ARCHITECTURE DEADBOLT_CS_AARCH64

/* PSTATE.nRW: the thread runs 32-bit code. */
#define DEADBOLT_PSTATE_32_BIT 0x10

struct deadbolt_thread_state {
  uint64_t ip;
  /* x0. After a system call: the call's result. At the call's entry, where ip is past the
   * instruction already, and when the call is about to be restarted: its first argument. */
  uint64_t x0;
  /* The blocks write these as 32-bit registers, which clears the upper halves. */
  uint64_t x12; /* status of a store exclusive, 0 if it stored or there is none */
  uint64_t x13; /* expected */
  uint64_t x14; /* seen */
  uint64_t pstate;
};

/* `x` is x0 to x30 of the thread. */
static inline struct deadbolt_thread_state deadbolt_thread_state_of(const unsigned long long* x,
                                                                    uint64_t ip, uint64_t pstate) {
  const struct deadbolt_thread_state state = {ip, x[0], x[12], x[13], x[14], pstate};
  return state;
}

static inline int deadbolt_runs_64_bit_code(const struct deadbolt_thread_state* thread) {
  return (thread->pstate & DEADBOLT_PSTATE_32_BIT) == 0;
}

static inline uint64_t deadbolt_system_call_result(const struct deadbolt_thread_state* thread) {
  return thread->x0;
}

/* For the kinds whose proof is about an instruction and not about a system call. How a block
 * releases, and what proves it: src/robust/arch/aarch64/unlock_block.h. */
static inline int deadbolt_exchange_was_made(uint8_t kind,
                                             const struct deadbolt_thread_state* thread) {
  return kind == DEADBOLT_CS_EXCHANGED && thread->x14 == thread->x13 && thread->x12 == 0;
}

#endif
