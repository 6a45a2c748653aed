/* SPDX-License-Identifier: MIT */
/*
 * A robust lock written by hand on deadbolt/robust_futex.h, for authors of lock
 * libraries. It lives on the list that the libc registered for the thread, so it
 * is laid out as glibc's x86-64 mutex is: the lock word 32 bytes in front of the
 * link that the kernel follows, the back link just before that.
 */
#define _GNU_SOURCE
#include <deadbolt/robust_futex.h>

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct lock {
  _Atomic uint32_t word; /* 0-29 owner TID, 30 FUTEX_OWNER_DIED, 31 FUTEX_WAITERS */
  uint32_t unused[5];
  struct robust_list* previous; /* points at the neighbour's `next` */
  struct robust_list next;
};
_Static_assert(offsetof(struct lock, next) == 32, "glibc's futex_offset on x86-64 is -32");

enum lock_result { lock_acquired, lock_owner_died };

static struct robust_list_head* my_list(void) {
  struct robust_list_head* head = NULL;
  size_t size = 0;
  if (syscall(SYS_get_robust_list, 0, &head, &size) != 0) return NULL;
  return head;
}

static struct robust_list** back_link(struct robust_list* entry) {
  const uintptr_t address = (uintptr_t)entry & ~(uintptr_t)1; /* bit 0 says PI */
  return (struct robust_list**)(address - sizeof(void*));
}

static void link_front(struct robust_list_head* head, struct lock* lock) {
  struct robust_list* first = head->list.next;
  lock->next.next = first;
  lock->previous = &head->list;
  if (first != &head->list) *back_link(first) = &lock->next;
  /* The thread may die at any instruction: the links are whole before the kernel can reach them. */
  atomic_signal_fence(memory_order_seq_cst);
  head->list.next = &lock->next;
}

static void unlink_entry(struct robust_list_head* head, struct lock* lock) {
  struct robust_list* next = lock->next.next;
  lock->previous->next = next;
  if (next != &head->list) *back_link(next) = lock->previous;
  atomic_signal_fence(memory_order_seq_cst);
}

static void set_pending(struct robust_list_head* head, struct robust_list* entry) {
  atomic_signal_fence(memory_order_seq_cst);
  *(struct robust_list* volatile*)&head->list_op_pending = entry;
  atomic_signal_fence(memory_order_seq_cst);
}

static enum lock_result lock_acquire(struct lock* lock) {
  struct robust_list_head* head = my_list();
  const uint32_t tid = (uint32_t)syscall(SYS_gettid);
  uint32_t keep_waiters = 0;
  uint32_t seen = 0;
  set_pending(head, &lock->next);
  for (;;) {
    /* A word without a TID is free, whatever its flags say. */
    if ((seen & FUTEX_TID_MASK) == 0) {
      const uint32_t mine = tid | keep_waiters | (seen & FUTEX_WAITERS);
      if (atomic_compare_exchange_weak(&lock->word, &seen, mine)) break;
      continue;
    }
    if ((seen & FUTEX_WAITERS) == 0 &&
        !atomic_compare_exchange_weak(&lock->word, &seen, seen | FUTEX_WAITERS)) {
      continue;
    }
    /* Bounded: not every kernel replays a wake whose receiver died. */
    const struct timespec longest = {.tv_sec = 0, .tv_nsec = 100000000};
    syscall(SYS_futex, &lock->word, FUTEX_WAIT, seen | FUTEX_WAITERS, &longest, NULL, 0);
    keep_waiters = FUTEX_WAITERS;
    seen = atomic_load(&lock->word);
  }
  link_front(head, lock);
  set_pending(head, NULL);
  return (seen & FUTEX_OWNER_DIED) != 0 ? lock_owner_died : lock_acquired;
}

static void lock_release(struct lock* lock) {
  struct robust_list_head* head = my_list();
  set_pending(head, &lock->next);
  unlink_entry(head, lock);
  const uint32_t old = robust_futex_unlock((uint32_t*)&lock->word, head);
  if ((old & FUTEX_WAITERS) != 0) {
    syscall(SYS_futex, &lock->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    set_pending(head, NULL);
  }
}

struct shared {
  struct lock lock;
  int count;
  int deaths;
};

static void count_once(struct shared* shared) {
  if (lock_acquire(&shared->lock) == lock_owner_died) ++shared->deaths;
  ++shared->count;
}

int main(void) {
  enum { processes = 50, killed = 10 };
  struct shared* shared =
      mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED || my_list() == NULL) return 1;

  for (int i = 0; i < processes; ++i) {
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
      count_once(shared);
      if (i % (processes / killed) == 0) raise(SIGKILL);
      lock_release(&shared->lock);
      _exit(0);
    }
  }
  while (wait(NULL) > 0) {
  }

  count_once(shared);
  lock_release(&shared->lock);
  printf("%d counted, %d owners died; engine %s\n", shared->count, shared->deaths,
         deadbolt_engine());
  return shared->count == processes + 1 && shared->deaths == killed ? 0 : 1;
}
