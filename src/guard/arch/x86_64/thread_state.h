/* SPDX-License-Identifier: MIT */
/* What the repair rule must know of an interrupted thread on x86-64. Plain C, for BPF too. */
#ifndef DEADBOLT_GUARD_ARCH_THREAD_STATE_H
#define DEADBOLT_GUARD_ARCH_THREAD_STATE_H

#include <deadbolt/critical_section.h>

#define DEADBOLT_CS_THIS_ARCHITECTURE DEADBOLT_CS_X86_64

#define DEADBOLT_FLAGS_ZF 0x40
#define DEADBOLT_USER_CS_64 0x33
#define DEADBOLT_USER_CS_32 0x23

struct deadbolt_thread_state {
  uint64_t ip;
  uint64_t rax; /* at a stop after a system call: its result */
  uint64_t flags;
  uint64_t cs;
};

/* A guard that can find the list head of 32-bit code widens its registers and sets this cs.
 * x32 code has this cs too, but a compat head: a guard that asks for the 64-bit head finds
 * none and writes nothing. */
static inline int deadbolt_runs_64_bit_code(const struct deadbolt_thread_state* thread) {
  return thread->cs == DEADBOLT_USER_CS_64;
}

static inline uint64_t deadbolt_system_call_result(const struct deadbolt_thread_state* thread) {
  return thread->rax;
}

/* For the kinds whose proof is about an instruction and not about a system call. */
static inline int deadbolt_exchange_was_made(uint32_t kind,
                                             const struct deadbolt_thread_state* thread) {
  if (kind == DEADBOLT_CS_ZF) return (thread->flags & DEADBOLT_FLAGS_ZF) != 0;
  return kind == DEADBOLT_CS_ALWAYS;
}

/* No proof of this architecture is about the lock word. */
static inline int deadbolt_proof_is_about_the_word(uint32_t kind) {
  (void)kind;
  return 0;
}

static inline int deadbolt_exchange_was_of(uint32_t kind,
                                           const struct deadbolt_thread_state* thread,
                                           uint64_t word, uint32_t tid) {
  (void)kind;
  (void)thread;
  (void)word;
  (void)tid;
  return 1;
}

#endif
