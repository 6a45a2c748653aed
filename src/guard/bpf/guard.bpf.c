// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The guard for the whole machine: runs in each thread that a signal reaches, before
// the thread dies of it or a handler's frame is made, and applies the repair rule.
//
// Everything that a thread could forge (its code, its registers, its robust list) leads
// to one store at most: 0 into list_op_pending at the address that the thread itself
// told the kernel, made with the thread's own rights.
//
// Nothing newer than Linux 5.15; no loop; maps are allocated beforehand.
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "guard/bpf/kernel_types.h"
#include "guard/bpf/shared.h"
#include "guard/repair_rule.h"

// The helpers are for programs under the GPL; this one may also be had under the MIT
// licence.
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
  // A CPU's own, but a signal may interrupt the count of another.
  if (counter) __sync_fetch_and_add(counter, 1);
}

static __always_inline struct deadbolt_thread_state thread_state(struct task_struct* task) {
  struct pt_regs* const registers = (struct pt_regs*)bpf_task_pt_regs(task);
  struct deadbolt_thread_state state = {
      .ip = BPF_CORE_READ(registers, ip),
      .rax = BPF_CORE_READ(registers, ax),
      .flags = BPF_CORE_READ(registers, flags),
      .cs = BPF_CORE_READ(registers, cs),
  };
  return state;
}

static __always_inline uint64_t robust_list_of(struct task_struct* task) {
  const struct task_struct___futex* const newer = (const void*)task;
  if (bpf_core_field_exists(newer->futex)) return (uint64_t)BPF_CORE_READ(newer, futex.robust_list);
  return (uint64_t)BPF_CORE_READ(task, robust_list);
}

// In the thread's own PID namespace: what its lock words hold. -1 if it has none.
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

// Whether the exit walk would write into the word. One that cannot be read without a
// fault is taken for one that it would: the wake is lost then, not somebody's data.
static __always_inline bool walk_would_mark(struct task_struct* task, uint64_t word) {
  uint32_t value = 0;
  if (word % sizeof value != 0) return false;
  if (bpf_probe_read_user(&value, sizeof value, (const void*)word) != 0) {
    count(DEADBOLT_BPF_UNREAD_WORD);
    return true;
  }
  return (value & DEADBOLT_WORD_TID_MASK) == own_tid(task);
}

static __always_inline void repair(struct task_struct* task, enum deadbolt_repair what,
                                   uint32_t counter) {
  // futex_offset and list_op_pending
  uint64_t head[2] = {};
  const uint64_t zero = 0;
  const uint64_t address = robust_list_of(task);
  if (address == 0) {
    count(DEADBOLT_BPF_NO_LIST);
    return;
  }
  if (bpf_probe_read_user(head, sizeof head, (const void*)(address + DEADBOLT_HEAD_FUTEX_OFFSET)) !=
      0) {
    count(DEADBOLT_BPF_UNREAD_HEAD);
    return;
  }
  if (head[1] == 0) return;
  if (what == DEADBOLT_REPAIR_CLEAR_IF_WORD_IS_MINE &&
      !walk_would_mark(task, deadbolt_entry_word(head[1], head[0]))) {
    count(DEADBOLT_BPF_LEFT_TO_KERNEL);
    return;
  }
  // death order: the exit walk and the handler's frame come after this program. The
  // helper checks the address as the thread's own store would be, and does not fault.
  if (bpf_probe_write_user((void*)(address + DEADBOLT_HEAD_LIST_OP_PENDING), &zero, sizeof zero) !=
      0)
    count(DEADBOLT_BPF_REFUSED_WRITES);
  else
    count(counter);
}

SEC("raw_tp/signal_deliver")
int deadbolt_guard(void* context) {
  struct task_struct* const task = (struct task_struct*)bpf_get_current_task_btf();
  const struct deadbolt_thread_state state = thread_state(task);
  struct deadbolt_critical_section block;
  struct deadbolt_window_key key = {};
  enum deadbolt_repair what = DEADBOLT_REPAIR_NONE;
  (void)context;

  count(DEADBOLT_BPF_SIGNALS);
  if (state.cs != DEADBOLT_USER_CS_64) return 0;
  if (bpf_probe_read_user(&block, sizeof block, (const void*)deadbolt_block_address(state.ip)) == 0)
    what = deadbolt_repair_rule(&block, &state);
  else
    count(DEADBOLT_BPF_UNREAD_CODE);
  if (what != DEADBOLT_REPAIR_NONE) {
    repair(task, what, DEADBOLT_BPF_BLOCK_CLEARS);
    return 0;
  }
  if (bpf_probe_read_user(key.code, sizeof key.code,
                          (const void*)(state.ip - DEADBOLT_WINDOW_CODE_BEFORE)) != 0)
    return 0;
  key.page_offset = (uint32_t)(state.ip & DEADBOLT_PAGE_OFFSET_MASK);
  what = deadbolt_window_rule(bpf_map_lookup_elem(&libc_windows, &key), &state);
  if (what != DEADBOLT_REPAIR_NONE) repair(task, what, DEADBOLT_BPF_LIBC_CLEARS);
  return 0;
}
