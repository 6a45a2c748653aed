/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The fields of the kernel that the BPF program reads. The offsets here are replaced: libbpf puts
 * in those of the running kernel (CO-RE).
 */
#ifndef DEADBOLT_GUARD_BPF_KERNEL_TYPES_H
#define DEADBOLT_GUARD_BPF_KERNEL_TYPES_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* 16 bits where the kernel supports FRED; the bits beside them are another field. */
struct pt_regs {
  unsigned long ax;
  unsigned long ip;
  unsigned short cs;
  unsigned long flags;
};

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
  struct compat_robust_list_head* compat_robust_list; /* of 32-bit code */
};

/* Since Linux 7.1 the futex fields have a structure of their own. */
struct futex_sched_data {
  struct robust_list_head* robust_list;
  struct compat_robust_list_head* compat_robust_list;
};
struct task_struct___futex {
  struct futex_sched_data futex;
};

#pragma clang attribute pop

#endif
