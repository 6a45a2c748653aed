/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Shared by the BPF program and by the programs that load it and read its counters. */
#ifndef DEADBOLT_GUARD_BPF_SHARED_H
#define DEADBOLT_GUARD_BPF_SHARED_H

#define DEADBOLT_BPF_MOST_WINDOWS 4096

/* Indices of the counters map, whose values are 64 bits for each CPU. */
enum deadbolt_bpf_counter {
  DEADBOLT_BPF_SIGNALS,        /* deliveries seen, SIGKILL and all */
  DEADBOLT_BPF_BLOCK_CLEARS,   /* repairs in code that describes itself */
  DEADBOLT_BPF_LIBC_CLEARS,    /* repairs in a libc's windows */
  DEADBOLT_BPF_LEFT_TO_KERNEL, /* a wake is owed and the word does not hold the thread's TID */
  DEADBOLT_BPF_NO_LIST,        /* in a window without a robust list */
  DEADBOLT_BPF_UNREAD_CODE,    /* code that is paged out or not mapped */
  DEADBOLT_BPF_UNREAD_HEAD,    /* in a window, and the head could not be read */
  DEADBOLT_BPF_UNREAD_WORD,    /* a word that could not be read: treated as the thread's TID */
  DEADBOLT_BPF_REFUSED_WRITES, /* in a window, and the slot could not be written */
  DEADBOLT_BPF_COUNTERS
};

#endif
