/* SPDX-License-Identifier: MIT */
/*
 * The repair rule: whether a guard repairs a thread, by the thread's registers and
 * the code at its instruction pointer. Both guards call these functions.
 *
 * Plain C without a libc call, a loop or a write, so that a BPF program can include
 * it and the verifier accepts it.
 *
 *   read the 24 bytes at ip & ~127        (not readable: none)
 *   not a well-formed block header        -> none
 *   ip outside [window_begin, window_end) -> none
 *   registers say "still owned"           -> none
 *   ip in [window_begin, owed_end)        -> clear if the word is mine
 *   otherwise                             -> clear
 *
 * A libc's code does not describe its windows. For it the rule uses a table of
 * instructions, which was measured (`deadbolt windows`):
 *
 *   read the 32 bytes around ip           (not readable: none)
 *   not in the table, at this page offset -> none
 *   registers say "still owned"           -> none
 *   or "another word" (aarch64)           -> none
 *   a wake is owed here                   -> clear if the word is mine
 *   otherwise                             -> clear
 *
 * "Clear" is a store of 0 to the thread's list_op_pending. In doubt the rule says
 * "none": an entry that stays set may lead to corruption, as it does without a
 * guard, but an entry that is cleared in error loses a lock for ever.
 */
#ifndef DEADBOLT_GUARD_REPAIR_RULE_H
#define DEADBOLT_GUARD_REPAIR_RULE_H

#include <deadbolt/critical_section.h>
#include <thread_state.h> /* arch/<architecture>, by build path */

/* struct robust_list_head of a 64-bit task, which is kernel ABI. */
#define DEADBOLT_HEAD_FUTEX_OFFSET 8
#define DEADBOLT_HEAD_LIST_OP_PENDING 16
/* That of 32-bit code: three words of 32 bits. */
#define DEADBOLT_COMPAT_HEAD_FUTEX_OFFSET 4
#define DEADBOLT_COMPAT_HEAD_LIST_OP_PENDING 8

/* Bit 0 of an entry means PI. The kernel drops only that bit: with bit 1 set the word
 * is misaligned, and the kernel ignores the entry. */
#define DEADBOLT_ENTRY_PI_BIT 1
#define DEADBOLT_WORD_TID_MASK 0x3fffffff

enum deadbolt_repair {
  /* Not in a window, or the word is still owned: the kernel's walk is right. */
  DEADBOLT_REPAIR_NONE = 0,
  /* Released and nothing owed: store 0 to list_op_pending. */
  DEADBOLT_REPAIR_CLEAR = 1,
  /* Released, and a wake is owed. The walk makes that wake and writes nothing, unless the
   * word's TID bits are the dying thread's own by now. Then the word is no longer this
   * lock: clear; the wake is lost. */
  DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE = 2,
};

/* A proof that only tables use, beside those of blocks (DEADBOLT_CS_*); aarch64 has one more,
 * DEADBOLT_WINDOW_EXCHANGE in its thread_state.h. After the
 * point where the path of a successful compare-exchange and that of a system call meet, the word
 * was released if the result is not an error. */
#define DEADBOLT_WINDOW_NO_ERROR 5
#define DEADBOLT_LAST_ERROR 4095

static inline uint64_t deadbolt_block_address(uint64_t ip) {
  const uint64_t offset_bits = DEADBOLT_CS_SIZE - 1;
  return ip & ~offset_bits;
}

static inline uint64_t deadbolt_entry_word(uint64_t entry, uint64_t futex_offset) {
  const uint64_t pi_bit = DEADBOLT_ENTRY_PI_BIT;
  return (entry & ~pi_bit) + futex_offset;
}

static inline int deadbolt_block_is_well_formed(const struct deadbolt_critical_section* block) {
  return block->magic[0] == DEADBOLT_CS_MAGIC_LOW && block->magic[1] == DEADBOLT_CS_MAGIC_HIGH &&
         block->version == DEADBOLT_CS_VERSION && block->kind >= DEADBOLT_CS_ZF &&
         block->kind <= DEADBOLT_CS_ALWAYS && block->window_begin >= DEADBOLT_CS_CODE_OFFSET &&
         block->window_begin <= block->owed_end && block->owed_end <= block->window_end &&
         block->window_end <= DEADBOLT_CS_SIZE &&
         block->architecture == DEADBOLT_CS_THIS_ARCHITECTURE && block->zero[0] == 0 &&
         block->zero[1] == 0;
}

/* Whether the registers prove that the word was released. A signal stop may show
 * -ERESTART* or -EINTR as a result: then the system call has done nothing yet. */
static inline int deadbolt_word_was_released(uint32_t kind,
                                             const struct deadbolt_thread_state* thread) {
  /* As the register holds it: a system call returns all 64 bits. */
  const uint64_t pi_waiter = UINT64_C(0) - -DEADBOLT_CS_WAKE_OP_PI_WAITER;
  const uint64_t result = deadbolt_system_call_result(thread);
  switch (kind) {
  case DEADBOLT_CS_WAKE_OP:
    return result <= DEADBOLT_CS_WAKE_OP_MAX_WOKEN || result == pi_waiter;
  case DEADBOLT_CS_UNLOCK_PI:
    return result == 0;
  case DEADBOLT_WINDOW_NO_ERROR:
    return result < UINT64_C(0) - DEADBOLT_LAST_ERROR;
  default:
    return deadbolt_exchange_was_made(kind, thread);
  }
}

/* An instruction of a libc before which the word is released and list_op_pending still
 * set. It is recognised by its offset in its page, which is the same wherever the libc is
 * mapped, and by the code around it. */
#define DEADBOLT_WINDOW_CODE_BEFORE 16
#define DEADBOLT_WINDOW_CODE_SIZE 32
#define DEADBOLT_PAGE_OFFSET_MASK 0xfff

struct deadbolt_window_key {
  uint8_t code[DEADBOLT_WINDOW_CODE_SIZE]; /* from ip - 16 on */
  uint32_t page_offset;                    /* of ip */
};

struct deadbolt_window {
  uint32_t kind; /* the proof that the word was released; arch/ has what may stand in it */
  uint8_t owed;  /* 1: a wake is owed there, or was in one of the measurements */
};

/* `window` is the table's entry for the bytes around ip, NULL if it has none. Where its proof is
 * about the word, too, the caller asks deadbolt_exchange_was_of() when it has read list_op_pending:
 * if that says no, nothing is repaired. */
static inline enum deadbolt_repair
deadbolt_window_rule(const struct deadbolt_window* window,
                     const struct deadbolt_thread_state* thread) {
  if (!window || !deadbolt_runs_64_bit_code(thread)) return DEADBOLT_REPAIR_NONE;
  if (window->kind != DEADBOLT_CS_ALWAYS && !deadbolt_word_was_released(window->kind, thread))
    return DEADBOLT_REPAIR_NONE;
  return window->owed ? DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE : DEADBOLT_REPAIR_CLEAR;
}

/* `block` is read from deadbolt_block_address(thread->ip). */
static inline enum deadbolt_repair
deadbolt_repair_rule(const struct deadbolt_critical_section* block,
                     const struct deadbolt_thread_state* thread) {
  const uint64_t offset = thread->ip & (DEADBOLT_CS_SIZE - 1);
  if (!deadbolt_runs_64_bit_code(thread)) return DEADBOLT_REPAIR_NONE;
  if (!deadbolt_block_is_well_formed(block)) return DEADBOLT_REPAIR_NONE;
  if (offset < block->window_begin || offset >= block->window_end) return DEADBOLT_REPAIR_NONE;
  if (!deadbolt_word_was_released(block->kind, thread)) return DEADBOLT_REPAIR_NONE;
  return offset < block->owed_end ? DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE : DEADBOLT_REPAIR_CLEAR;
}

#endif
