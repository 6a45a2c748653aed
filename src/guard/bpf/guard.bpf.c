// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The guard for the whole machine: runs in each thread that a signal reaches, before
// the thread dies of it or a handler's frame is made, and applies the repair rule.
//
// A thread can forge its code, its registers and its robust list. Whatever it forges, the program
// makes one store at most: 0 into list_op_pending, at the address that the thread itself told the
// kernel, with the thread's own rights.
//
// Uses nothing newer than Linux 5.15, no loop, and only maps that are allocated beforehand.
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "guard/bpf/shared.h"
#include "guard/repair_rule.h"
#include <bpf_registers.h> // arch/<architecture>, by build path

// The fields of the kernel that this program reads. The offsets here are replaced: libbpf puts in
// those of the running kernel (CO-RE).
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct upid {
  int nr;
};

struct pid {
  unsigned int level;
  struct upid numbers[1];
};

struct robust_list_head;
struct compat_robust_list_head;

struct task_struct {
  struct pid* thread_pid;
  struct robust_list_head* robust_list;
  struct compat_robust_list_head* compat_robust_list; // of 32-bit code
};

// Since Linux 7.1 the futex fields have a structure of their own.
struct futex_sched_data {
  struct robust_list_head* robust_list;
  struct compat_robust_list_head* compat_robust_list;
};
struct task_struct___futex {
  struct futex_sched_data futex;
};

#pragma clang attribute pop

// The helpers are for programs under the GPL; this program is also available under the MIT licence.
char guard_license[] SEC("license") = "Dual MIT/GPL";

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, DEADBOLT_BPF_COUNTERS);
  __type(key, uint32_t);
  __type(value, uint64_t);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, DEADBOLT_BPF_MOST_WINDOWS);
  __type(key, struct deadbolt_window_key);
  __type(value, struct deadbolt_window);
} libc_windows SEC(".maps");

static __always_inline void count(uint32_t which) {
  uint64_t* const counter = bpf_map_lookup_elem(&counters, &which);
  // The counter is this CPU's, but another signal's count may interrupt this one.
  if (counter) __sync_fetch_and_add(counter, 1);
}

// A thread may have two lists: one registered by 64-bit code and one by 32-bit code. The kind of
// code that runs says to which of them its lock operation belongs.
static __always_inline uint64_t robust_list_of(struct task_struct* task) {
  const struct task_struct___futex* const newer = (const void*)task;
  if (bpf_core_field_exists(newer->futex)) return (uint64_t)BPF_CORE_READ(newer, futex.robust_list);
  return (uint64_t)BPF_CORE_READ(task, robust_list);
}

static __always_inline uint64_t compat_robust_list_of(struct task_struct* task) {
  const struct task_struct___futex* const newer = (const void*)task;
  if (bpf_core_field_exists(newer->futex))
    return bpf_core_field_exists(newer->futex.compat_robust_list)
               ? (uint64_t)BPF_CORE_READ(newer, futex.compat_robust_list)
               : 0;
  // A kernel without 32-bit programs has no such field.
  return bpf_core_field_exists(task->compat_robust_list)
             ? (uint64_t)BPF_CORE_READ(task, compat_robust_list)
             : 0;
}

// The TID in the thread's own PID namespace, which its lock words hold. -1 if it has none.
static __always_inline uint32_t own_tid(struct task_struct* task) {
  struct pid* const pid = BPF_CORE_READ(task, thread_pid);
  const uint32_t level = BPF_CORE_READ(pid, level);
  int number = -1;
  if (!pid || level > 64) return -1;
  const uint64_t numbers = (uint64_t)pid + bpf_core_field_offset(struct pid, numbers);
  bpf_probe_read_kernel(&number, sizeof number,
                        (const void*)(numbers + level * bpf_core_type_size(struct upid) +
                                      bpf_core_field_offset(struct upid, nr)));
  return (uint32_t)number;
}

// Whether the exit walk would write to the word. If the word cannot be read without a fault, the
// answer is yes: a wake may be lost then, but no data is overwritten.
static __always_inline bool walk_would_mark(struct task_struct* task, uint64_t word) {
  uint32_t value = 0;
  if (word % sizeof value != 0) return false;
  if (bpf_probe_read_user(&value, sizeof value, (const void*)word) != 0) {
    count(DEADBOLT_BPF_UNREAD_WORD);
    return true;
  }
  return (value & DEADBOLT_WORD_TID_MASK) == own_tid(task);
}

// The pending entry of a list head, of either kind.
struct pending_entry {
  uint64_t slot; // where list_op_pending is
  uint64_t entry;
  uint64_t word;
};

static __always_inline bool find_pending(uint64_t head, struct pending_entry* found) {
  uint64_t parts[2]; // futex_offset and list_op_pending
  if (bpf_probe_read_user(parts, sizeof parts, (const void*)(head + DEADBOLT_HEAD_FUTEX_OFFSET)) !=
      0)
    return false;
  found->slot = head + DEADBOLT_HEAD_LIST_OP_PENDING;
  found->entry = parts[1];
  found->word = deadbolt_entry_word(parts[1], parts[0]);
  return true;
}

static __always_inline bool find_compat_pending(uint64_t head, struct pending_entry* found) {
  uint32_t parts[2];
  if (bpf_probe_read_user(parts, sizeof parts,
                          (const void*)(head + DEADBOLT_COMPAT_HEAD_FUTEX_OFFSET)) != 0)
    return false;
  found->slot = head + DEADBOLT_COMPAT_HEAD_LIST_OP_PENDING;
  found->entry = parts[1];
  found->word = (uint32_t)deadbolt_entry_word(parts[1], parts[0]);
  return true;
}

// window: of a libc, if the repair is for its code.
static __always_inline void repair(struct task_struct* task,
                                   const struct deadbolt_thread_state* state,
                                   enum deadbolt_repair what, bool is_compat,
                                   const struct deadbolt_window* window) {
  const uint64_t head = is_compat ? compat_robust_list_of(task) : robust_list_of(task);
  const uint64_t zero = 0;
  struct pending_entry pending;
  long refused;
  if (head == 0) {
    count(DEADBOLT_BPF_NO_LIST);
    return;
  }
  if (!(is_compat ? find_compat_pending(head, &pending) : find_pending(head, &pending))) {
    count(DEADBOLT_BPF_UNREAD_HEAD);
    return;
  }
  if (pending.entry == 0) return;
  if (window && deadbolt_proof_is_about_the_word(window->kind) &&
      !deadbolt_exchange_was_of(window->kind, state, pending.word, own_tid(task)))
    return;
  if (what == DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE && !walk_would_mark(task, pending.word)) {
    count(DEADBOLT_BPF_LEFT_TO_KERNEL);
    return;
  }
  // death order: the exit walk and the handler's frame come after this program. The helper checks
  // the address as the kernel checks the thread's own store, and does not fault.
  if (is_compat)
    refused = bpf_probe_write_user((void*)pending.slot, &zero, sizeof(uint32_t));
  else
    refused = bpf_probe_write_user((void*)pending.slot, &zero, sizeof zero);
  if (refused)
    count(DEADBOLT_BPF_REFUSED_WRITES);
  else
    count(window ? DEADBOLT_BPF_LIBC_CLEARS : DEADBOLT_BPF_BLOCK_CLEARS);
}

SEC("raw_tp/signal_deliver")
int deadbolt_guard(void* context) {
  struct task_struct* const task = (struct task_struct*)bpf_get_current_task_btf();
  struct deadbolt_thread_state state;
  struct deadbolt_critical_section block;
  struct deadbolt_window_key key = {};
  const struct deadbolt_window* window;
  bool is_compat, unread;
  enum deadbolt_repair what = DEADBOLT_REPAIR_NONE;
  (void)context;

  read_thread_state((struct pt_regs*)bpf_task_pt_regs(task), &state);
  is_compat = is_compat_code(&state);
  count(DEADBOLT_BPF_SIGNALS);
  if (is_compat) widen(&state);
  if (!deadbolt_runs_64_bit_code(&state)) return 0;
  unread =
      bpf_probe_read_user(&block, sizeof block, (const void*)deadbolt_block_address(state.ip)) != 0;
  if (unread)
    count(DEADBOLT_BPF_UNREAD_CODE);
  else
    what = deadbolt_repair_rule(&block, &state);
  if (what != DEADBOLT_REPAIR_NONE) {
    repair(task, &state, what, is_compat, NULL);
    return 0;
  }
  if (is_compat) return 0; // no table is about 32-bit code
  if (bpf_probe_read_user(key.code, sizeof key.code,
                          (const void*)(state.ip - DEADBOLT_WINDOW_CODE_BEFORE)) != 0) {
    if (!unread) count(DEADBOLT_BPF_UNREAD_CODE); // once a signal
    return 0;
  }
  key.page_offset = (uint32_t)(state.ip & DEADBOLT_PAGE_OFFSET_MASK);
  window = bpf_map_lookup_elem(&libc_windows, &key);
  what = deadbolt_window_rule(window, &state);
  if (what != DEADBOLT_REPAIR_NONE) repair(task, &state, what, false, window);
  return 0;
}
