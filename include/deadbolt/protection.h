/* SPDX-License-Identifier: MIT */
/* What protects this process's robust mutexes when it is killed, for C: see protection.hpp. */
#ifndef DEADBOLT_PROTECTION_H
#define DEADBOLT_PROTECTION_H

#include <deadbolt/detail/c_interface.h>
#include <deadbolt/detail/needs_robust_locks.h>

DEADBOLT_BEGIN_C

enum deadbolt_protection_kind {
  /* If a thread dies after it has released a robust lock and before it has cleared list_op_pending,
   * the kernel may write into reused memory, unless the BPF guard (`deadbolt guard`) prevents it,
   * which deadbolt_protection() does not see. */
  DEADBOLT_PROTECTION_NONE,
  DEADBOLT_PROTECTION_GUARD, /* a ptrace guard watches the calling thread now */
  DEADBOLT_PROTECTION_KERNEL /* the kernel knows the unlock code */
};

/* Looked up at each call: a guard may come and go. */
enum deadbolt_protection_kind deadbolt_protection(void);

/* "none", "guard" or "kernel". */
const char* deadbolt_protection_name(enum deadbolt_protection_kind protection);

DEADBOLT_END_C
#endif
