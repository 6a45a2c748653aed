/* SPDX-License-Identifier: MIT */
/* What the repair rule must know of an interrupted thread on aarch64. Plain C, for BPF too. */
#ifndef DEADBOLT_GUARD_ARCH_THREAD_STATE_H
#define DEADBOLT_GUARD_ARCH_THREAD_STATE_H

#include <deadbolt/critical_section.h>

#define DEADBOLT_CS_THIS_ARCHITECTURE DEADBOLT_CS_AARCH64

/* PSTATE.nRW: the thread runs 32-bit code. */
#define DEADBOLT_PSTATE_32_BIT 0x10

#define DEADBOLT_X_REGISTERS 31

struct deadbolt_thread_state {
  uint64_t ip;
  uint64_t pstate;
  uint64_t x[DEADBOLT_X_REGISTERS];
};

/* `x` is x0 to x30 of the thread. */
static inline struct deadbolt_thread_state deadbolt_thread_state_of(const unsigned long long* x,
                                                                    uint64_t ip, uint64_t pstate) {
  struct deadbolt_thread_state state;
  state.ip = ip;
  state.pstate = pstate;
  __builtin_memcpy(state.x, x, sizeof state.x);
  return state;
}

static inline int deadbolt_runs_64_bit_code(const struct deadbolt_thread_state* thread) {
  return (thread->pstate & DEADBOLT_PSTATE_32_BIT) == 0;
}

/* After a system call: its result. At the call's entry, where ip is past the instruction already,
 * and when the call is about to be restarted: its first argument. */
static inline uint64_t deadbolt_system_call_result(const struct deadbolt_thread_state* thread) {
  return thread->x[0];
}

/*
 * A proof that only tables of a libc's windows use: what the registers of an exchange must show.
 * The numbers of the registers stand in the kind, above its lowest byte; 31 is none.
 *
 * - `address` holds the address of the word that list_op_pending names. A libc makes its exchanges
 *   in functions that every lock's code calls, so that the instruction pointer does not show which
 *   word such a function changed.
 * - `status` is 0: the store exclusive has stored.
 * - `seen` is the thread's TID: the compare-exchange found what it expected. A libc releases by a
 *   compare-exchange only from its own TID; other values are the kernel's business.
 */
#define DEADBOLT_WINDOW_EXCHANGE 6
#define DEADBOLT_NO_REGISTER 31
#define DEADBOLT_EXCHANGE_ADDRESS(kind) ((kind) >> 8 & 0xff)
#define DEADBOLT_EXCHANGE_STATUS(kind) ((kind) >> 16 & 0xff)
#define DEADBOLT_EXCHANGE_SEEN(kind) ((kind) >> 24 & 0xff)

static inline uint32_t deadbolt_exchange_kind(uint32_t address, uint32_t status, uint32_t seen) {
  return DEADBOLT_WINDOW_EXCHANGE | address << 8 | status << 16 | seen << 24;
}

/* Whether register `number`, if it is one, has that value in its lowest `bits`. */
static inline int deadbolt_register_is(const struct deadbolt_thread_state* thread, uint32_t number,
                                       uint64_t bits, uint64_t value) {
  return number >= DEADBOLT_X_REGISTERS || (thread->x[number] & bits) == value;
}

/* For the kinds whose proof is about an instruction and not about a system call. How a block
 * releases, and what proves it: src/robust/arch/aarch64/unlock_block.h. The blocks write 32-bit
 * registers, which clears the upper halves. */
static inline int deadbolt_exchange_was_made(uint32_t kind,
                                             const struct deadbolt_thread_state* thread) {
  if (kind == DEADBOLT_CS_EXCHANGED) return thread->x[14] == thread->x[13] && thread->x[12] == 0;
  return (kind & 0xff) == DEADBOLT_WINDOW_EXCHANGE &&
         deadbolt_register_is(thread, DEADBOLT_EXCHANGE_STATUS(kind), 0xffffffff, 0);
}

/* Whether deadbolt_exchange_was_of() must be asked too. */
static inline int deadbolt_proof_is_about_the_word(uint32_t kind) {
  return (kind & 0xff) == DEADBOLT_WINDOW_EXCHANGE;
}

/* Whether the exchange was of the word that list_op_pending names, by the thread with this TID. */
static inline int deadbolt_exchange_was_of(uint32_t kind,
                                           const struct deadbolt_thread_state* thread,
                                           uint64_t word, uint32_t tid) {
  return deadbolt_register_is(thread, DEADBOLT_EXCHANGE_ADDRESS(kind), ~UINT64_C(0), word) &&
         deadbolt_register_is(thread, DEADBOLT_EXCHANGE_SEEN(kind), 0xffffffff, tid);
}

#endif
