/* SPDX-License-Identifier: MIT */
/* Unlocks a lock word of its own through the installed C header and library. */
#define _GNU_SOURCE
#include <deadbolt/robust_futex.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

  printf("engine %s\n", deadbolt_engine());
  return strlen(deadbolt_engine()) > 0 ? 0 : 1;
}
