/* SPDX-License-Identifier: MIT */
/* Locks a mutex, and unlocks a lock word of its own, through the installed C headers and
 * library. */
#define _GNU_SOURCE
#include <deadbolt/protection.h>
#include <deadbolt/quiescence.h>
#include <deadbolt/robust_futex.h>
#include <deadbolt/with_recovery.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct deadbolt_robust_mutex mutex = DEADBOLT_ROBUST_MUTEX_INIT;

static bool repair(void* repairs) {
  ++*(int*)repairs;
  return true;
}

static bool mutex_works(void) {
  int repairs = 0;
  if (deadbolt_robust_mutex_with_recovery(&mutex, deadbolt_robust_mutex_lock(&mutex), repair,
                                          &repairs) != DEADBOLT_ACQUIRED) {
    return false;
  }
  const pid_t owner = deadbolt_robust_mutex_owner(&mutex);
  const bool released = deadbolt_robust_mutex_unlock(&mutex) == DEADBOLT_RELEASED;
  deadbolt_robust_mutex_destroy(&mutex);
  return repairs == 0 && released && owner == (pid_t)syscall(SYS_gettid);
}

static struct robust_list_head* registered_head(void) {
  struct robust_list_head* head = NULL;
  size_t size = 0;
  if (syscall(SYS_get_robust_list, 0, &head, &size) != 0 || size != sizeof *head) return NULL;
  return head;
}

int main(void) {
  const uint32_t tid = (uint32_t)syscall(SYS_gettid);
  uint32_t word = tid;
  struct robust_list entry = {NULL};
  struct robust_list_head* head = registered_head();
  if (head == NULL) {
    fputs("no robust list\n", stderr);
    return 1;
  }

  head->list_op_pending = &entry;
  const uint32_t old = robust_futex_unlock(&word, head);
  if (old != tid || word != 0 || head->list_op_pending != NULL) {
    fprintf(stderr, "unlock: old %#x, word %#x, pending %p\n", (unsigned)old, (unsigned)word,
            (void*)head->list_op_pending);
    return 1;
  }

  word = tid;
  uint32_t expected = tid;
  head->list_op_pending = &entry;
  if (!robust_pi_futex_try_unlock(&word, &expected, head) || word != 0 ||
      head->list_op_pending != NULL) {
    fprintf(stderr, "PI unlock: word %#x, pending %p\n", (unsigned)word,
            (void*)head->list_op_pending);
    return 1;
  }

  if (!mutex_works()) {
    fputs("the mutex does not work\n", stderr);
    return 1;
  }
  printf("engine %s, protection %s\n", deadbolt_engine(),
         deadbolt_protection_name(deadbolt_protection()));
  return strlen(deadbolt_engine()) > 0 ? 0 : 1;
}
