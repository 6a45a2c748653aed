/* SPDX-License-Identifier: MIT */
/*
 * Does every operation to a robust mutex of every kind in every state, and prints what it
 * returned and every byte of the mutex and of the thread's robust list afterwards: TIDs by
 * the name of their thread, addresses by what they lead to. Run with the preload library
 * and without, it prints the same.
 *
 * What glibc leaves in list_op_pending is not printed: after some time-outs it forgets to
 * clear it. With EXPECT_NOTHING_PENDING set the program checks that nothing is left there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct config {
  const char* name;
  int type, protocol, shared;
};

static const struct config configs[] = {
    {"normal shared", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_PROCESS_SHARED},
    {"normal private", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_PROCESS_PRIVATE},
    {"recursive shared", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_PROCESS_SHARED},
    {"errorcheck shared", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_PROCESS_SHARED},
    {"adaptive shared", PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PRIO_NONE, PTHREAD_PROCESS_SHARED},
    {"normal pi shared", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_PROCESS_SHARED},
    {"normal pi private", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_PROCESS_PRIVATE},
    {"recursive pi shared", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_INHERIT, PTHREAD_PROCESS_SHARED},
    {"errorcheck pi shared", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT,
     PTHREAD_PROCESS_SHARED},
};

static pthread_mutex_t mutex, before, after;
static pthread_cond_t condition;
static pid_t main_tid, other_tid;
static struct config now;
static int hides_marks, hides_waiters;

static pid_t own_tid(void) {
  return (pid_t)syscall(SYS_gettid);
}

static struct robust_list_head* own_head(void) {
  struct robust_list_head* head = NULL;
  size_t size = 0;
  if (syscall(SYS_get_robust_list, 0, &head, &size) != 0) abort();
  return head;
}

static const char* name_of_error(int error) {
  switch (error) {
  case 0:
    return "0";
  case EPERM:
    return "EPERM";
  case EBUSY:
    return "EBUSY";
  case EINVAL:
    return "EINVAL";
  case EDEADLK:
    return "EDEADLK";
  case EAGAIN:
    return "EAGAIN";
  case ETIMEDOUT:
    return "ETIMEDOUT";
  case EOWNERDEAD:
    return "EOWNERDEAD";
  case ENOTRECOVERABLE:
    return "ENOTRECOVERABLE";
  default:
    return "another error";
  }
}

static const char* name_of_tid(uint32_t tid) {
  if (tid == 0) return "none";
  if (tid == (uint32_t)main_tid) return "main";
  if (tid == (uint32_t)other_tid) return "other";
  if (tid == 0x7fffffff) return "inconsistent";
  if (tid == 0x7ffffffe) return "not-recoverable";
  return "unknown";
}

static void print_link(const char* name, const void* pointer) {
  const uintptr_t address = (uintptr_t)pointer & ~(uintptr_t)1;
  const char* pi = ((uintptr_t)pointer & 1) != 0 && !hides_marks ? "|pi" : "";
  const struct robust_list_head* head = own_head();
  const pthread_mutex_t* of[] = {&mutex, &before, &after};
  const char* names[] = {"mutex", "before", "after"};
  if (pointer == NULL) {
    printf(" %s=null", name);
    return;
  }
  if (address == (uintptr_t)&head->list) {
    printf(" %s=head%s", name, pi);
    return;
  }
  for (size_t i = 0; i < COUNT(of); ++i) {
    if (address >= (uintptr_t)of[i] && address < (uintptr_t)(of[i] + 1)) {
      printf(" %s=%s+%d%s", name, names[i], (int)(address - (uintptr_t)of[i]), pi);
      return;
    }
  }
  printf(" %s=elsewhere%s", name, pi);
}

static void print_mutex(const char* name, const pthread_mutex_t* of) {
  const uint32_t word = (uint32_t)of->__data.__lock;
  short behind_spins; /* __elision before glibc 2.43, unused since */
  memcpy(&behind_spins,
         (const char*)&of->__data + offsetof(struct __pthread_mutex_s, __spins) + sizeof(short),
         sizeof behind_spins);
  printf("    %s: word=%s%s%s count=%u owner=%s nusers=%u kind=%#x spins=%d,%d", name,
         name_of_tid(word & FUTEX_TID_MASK),
         (word & FUTEX_WAITERS) != 0 && !hides_waiters ? "|waiters" : "",
         (word & FUTEX_OWNER_DIED) != 0 ? "|died" : "", of->__data.__count,
         name_of_tid((uint32_t)of->__data.__owner), of->__data.__nusers,
         (unsigned)of->__data.__kind, of->__data.__spins, behind_spins);
  print_link("prev", of->__data.__list.__prev);
  print_link("next", of->__data.__list.__next);
  printf("\n");
}

static void print_all(void) {
  print_mutex("mutex", &mutex);
  print_mutex("before", &before);
  print_mutex("after", &after);
  const struct robust_list_head* head = own_head();
  printf("    head:");
  print_link("next", head->list.next);
  print_link("prev", *((void* const*)head - 1));
  printf("\n");
  if (getenv("EXPECT_NOTHING_PENDING") != NULL && head->list_op_pending != NULL) {
    printf("an operation is left pending\n");
    exit(3);
  }
}

/* States */

static void must(int error) {
  if (error != 0) {
    printf("setting up failed: %s\n", name_of_error(error));
    exit(2);
  }
}

static void* die_with_it(void* twice) {
  other_tid = own_tid();
  must(pthread_mutex_lock(&mutex));
  if (twice != NULL && now.type == PTHREAD_MUTEX_RECURSIVE) must(pthread_mutex_lock(&mutex));
  return NULL;
}

static void let_owner_die(void* twice) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, die_with_it, twice));
  must(pthread_join(thread, NULL));
}

static void nothing(void) {}
static void held(void) {
  must(pthread_mutex_lock(&mutex));
}
static void held_twice(void) {
  held();
  if (now.type == PTHREAD_MUTEX_RECURSIVE) held();
}
static void held_to_the_brim(void) {
  held();
  if (now.type == PTHREAD_MUTEX_RECURSIVE) mutex.__data.__count = UINT32_MAX;
}
static void held_between(void) {
  must(pthread_mutex_lock(&before));
  held();
  must(pthread_mutex_lock(&after));
}
static void owner_died(void) {
  let_owner_die(NULL);
}
static void owner_died_twice(void) {
  let_owner_die(&mutex);
}
static void inconsistent(void) {
  owner_died();
  if (pthread_mutex_lock(&mutex) != EOWNERDEAD) must(EINVAL);
}
static void inconsistent_twice(void) {
  inconsistent();
  if (now.type == PTHREAD_MUTEX_RECURSIVE) held();
}
static void consistent(void) {
  inconsistent();
  must(pthread_mutex_consistent(&mutex));
}
static void not_recoverable(void) {
  inconsistent();
  must(pthread_mutex_unlock(&mutex));
}
static void free_again(void) {
  held();
  must(pthread_mutex_unlock(&mutex));
}

static const struct {
  const char* name;
  void (*enter)(void);
  int is_held, is_final;
} states[] = {
    {"new", nothing, 0, 0},
    {"free", free_again, 0, 0},
    {"held", held, 1, 0},
    {"held twice", held_twice, 1, 0},
    {"held to the brim", held_to_the_brim, 1, 0},
    {"held between others", held_between, 1, 0},
    {"owner died", owner_died, 0, 0},
    {"owner died holding it twice", owner_died_twice, 0, 0},
    {"inconsistent", inconsistent, 1, 0},
    {"inconsistent, held twice", inconsistent_twice, 1, 0},
    {"consistent again", consistent, 1, 0},
    {"not recoverable", not_recoverable, 0, 1},
};

/* Operations */

static struct timespec in(clockid_t clock, long milliseconds) {
  struct timespec time;
  clock_gettime(clock, &time);
  time.tv_sec += milliseconds / 1000;
  time.tv_nsec += milliseconds % 1000 * 1000000;
  if (time.tv_nsec >= 1000000000) {
    time.tv_nsec -= 1000000000;
    ++time.tv_sec;
  }
  return time;
}

static int lock(void) {
  return pthread_mutex_lock(&mutex);
}
static int try_lock(void) {
  return pthread_mutex_trylock(&mutex);
}
static int unlock(void) {
  return pthread_mutex_unlock(&mutex);
}
static int make_consistent(void) {
  return pthread_mutex_consistent(&mutex);
}
static int destroy(void) {
  return pthread_mutex_destroy(&mutex);
}
static int lock_past(void) {
  const struct timespec time = {1, 0};
  return pthread_mutex_timedlock(&mutex, &time);
}
static int lock_negative(void) {
  const struct timespec time = {-1, 0};
  return pthread_mutex_timedlock(&mutex, &time);
}
static int lock_invalid_time(void) {
  const struct timespec time = {1, 1000000000};
  return pthread_mutex_timedlock(&mutex, &time);
}
static int lock_soon(void) {
  const struct timespec time = in(CLOCK_REALTIME, 3);
  return pthread_mutex_timedlock(&mutex, &time);
}
static int lock_monotonic(void) {
  const struct timespec time = in(CLOCK_MONOTONIC, 3);
  /* Before it knew FUTEX_LOCK_PI2 glibc refused this clock for PI mutexes. */
  if (now.protocol == PTHREAD_PRIO_INHERIT && getenv("NO_MONOTONIC_PI") != NULL) return 0;
  return pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &time);
}
static int lock_invalid_clock(void) {
  const struct timespec time = in(CLOCK_REALTIME, 3);
  return pthread_mutex_clocklock(&mutex, CLOCK_THREAD_CPUTIME_ID, &time);
}
static int wait_past(void) {
  const struct timespec time = {1, 0};
  return pthread_cond_timedwait(&condition, &mutex, &time);
}
static int wait_soon(void) {
  const struct timespec time = in(CLOCK_REALTIME, 3);
  return pthread_cond_timedwait(&condition, &mutex, &time);
}

static void await_waiter(void) {
  while ((__atomic_load_n(&mutex.__data.__lock, __ATOMIC_RELAXED) & (int)FUTEX_WAITERS) == 0)
    sched_yield();
}

/* The main thread takes the mutex back when it is free already, when its owner releases it later,
 * or when its owner dies. */
enum signaller { SIGNALS_LATE, SIGNALS_AND_RELEASES, SIGNALS_AND_DIES };
static enum signaller signaller;

static void* take_and_signal(void* unused) {
  (void)unused;
  other_tid = own_tid();
  const int error = pthread_mutex_lock(&mutex);
  if (error == ENOTRECOVERABLE) must(pthread_cond_signal(&condition));
  if (error != 0) return NULL;
  if (signaller == SIGNALS_LATE) {
    must(pthread_mutex_unlock(&mutex));
    must(pthread_cond_signal(&condition));
    return NULL;
  }
  must(pthread_cond_signal(&condition));
  await_waiter();
  if (signaller == SIGNALS_AND_RELEASES) must(pthread_mutex_unlock(&mutex));
  return NULL;
}
static int wait_for(enum signaller way) {
  pthread_t thread;
  signaller = way;
  must(pthread_create(&thread, NULL, take_and_signal, NULL));
  const int error = pthread_cond_wait(&condition, &mutex);
  must(pthread_join(thread, NULL));
  return error;
}
static int wait_signalled_late(void) {
  return wait_for(SIGNALS_LATE);
}
static int wait_signalled(void) {
  return wait_for(SIGNALS_AND_RELEASES);
}
static int wait_for_dying(void) {
  return wait_for(SIGNALS_AND_DIES);
}

static void* take_and_release(void* result) {
  other_tid = own_tid();
  int error = pthread_mutex_lock(&mutex);
  *(int*)result = error;
  if (error == EOWNERDEAD) must(pthread_mutex_consistent(&mutex));
  if (error == 0 || error == EOWNERDEAD) must(pthread_mutex_unlock(&mutex));
  return NULL;
}
/* While another thread waits. Prints what that one was told. */
static int unlock_with_waiter(void) {
  pthread_t thread;
  int told = -1, error = 0;
  must(pthread_create(&thread, NULL, take_and_release, &told));
  await_waiter();
  const int times = now.type == PTHREAD_MUTEX_RECURSIVE ? (int)mutex.__data.__count : 1;
  for (int i = 0; i < times; ++i) error = pthread_mutex_unlock(&mutex);
  must(pthread_join(thread, NULL));
  printf("    the waiter was told %s\n", name_of_error(told));
  return error;
}

static void* attempt_unlock(void* result) {
  other_tid = own_tid();
  *(int*)result = pthread_mutex_unlock(&mutex);
  return NULL;
}
static int unlock_by_other(void) {
  pthread_t thread;
  int result = -1;
  must(pthread_create(&thread, NULL, attempt_unlock, &result));
  must(pthread_join(thread, NULL));
  return result;
}

enum needs { ANY, NOT_HELD, HELD };
static const struct {
  const char* name;
  int (*run)(void);
  enum needs needs;
} operations[] = {
    {"lock", lock, ANY},
    {"trylock", try_lock, ANY},
    {"unlock", unlock, ANY},
    {"unlock by another", unlock_by_other, ANY},
    {"unlock with a waiter", unlock_with_waiter, HELD},
    {"consistent", make_consistent, ANY},
    {"destroy", destroy, NOT_HELD},
    {"timedlock, past", lock_past, ANY},
    {"timedlock, negative", lock_negative, ANY},
    {"timedlock, invalid", lock_invalid_time, ANY},
    {"timedlock, soon", lock_soon, ANY},
    {"clocklock, monotonic", lock_monotonic, ANY},
    {"clocklock, invalid clock", lock_invalid_clock, ANY},
    {"cond_timedwait, past", wait_past, HELD},
    {"cond_timedwait, soon", wait_soon, HELD},
    {"cond_wait, signalled late", wait_signalled_late, HELD},
    {"cond_wait, signalled", wait_signalled, HELD},
    {"cond_wait, signalled by one who dies", wait_for_dying, HELD},
};

static void create(void) {
  const struct robust_list_head* head = own_head();
  if (head->list.next != &head->list) {
    printf("a mutex is left on the list\n");
    exit(4);
  }
  pthread_mutexattr_t attributes;
  must(pthread_mutexattr_init(&attributes));
  must(pthread_mutexattr_settype(&attributes, now.type));
  must(pthread_mutexattr_setprotocol(&attributes, now.protocol));
  must(pthread_mutexattr_setpshared(&attributes, now.shared));
  must(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
  pthread_mutex_t* all[] = {&mutex, &before, &after};
  for (size_t i = 0; i < COUNT(all); ++i) {
    memset(all[i], 0, sizeof *all[i]);
    must(pthread_mutex_init(all[i], &attributes));
  }
  must(pthread_mutexattr_destroy(&attributes));
  must(pthread_cond_init(&condition, NULL));
}

static int would_deadlock(size_t state, size_t operation) {
  const int checks = now.type == PTHREAD_MUTEX_RECURSIVE || now.type == PTHREAD_MUTEX_ERRORCHECK;
  return operations[operation].run == lock && states[state].is_held && !checks;
}

static void run(size_t state, size_t operation) {
  const enum needs needs = operations[operation].needs;
  const int brim = states[state].enter == held_to_the_brim;
  if (needs == HELD && (!states[state].is_held || brim)) return;
  if (needs == NOT_HELD && states[state].is_held) return;
  if (would_deadlock(state, operation)) return;
  /* A recursive mutex that is held twice is not free while its owner waits. */
  const int twice = states[state].enter == held_twice || states[state].enter == inconsistent_twice;
  const int waits = operations[operation].run == wait_signalled_late ||
                    operations[operation].run == wait_signalled ||
                    operations[operation].run == wait_for_dying;
  if (twice && waits && now.type == PTHREAD_MUTEX_RECURSIVE) return;
  /* After a dead owner glibc's trylock forgets to mark a PI mutex on the list as one. */
  hides_marks = operations[operation].run == try_lock && now.protocol == PTHREAD_PRIO_INHERIT;
  /* glibc's trylock says that it is not recoverable, and keeps it. */
  if (states[state].is_final && operations[operation].run == try_lock) {
    create();
    states[state].enter();
    printf("%s, %s, trylock: %s\n", now.name, states[state].name, name_of_error(try_lock()));
    return;
  }
  create();
  other_tid = 0;
  states[state].enter();
  const int result = operations[operation].run();
  printf("%s, %s, %s: %s\n", now.name, states[state].name, operations[operation].name,
         name_of_error(result));
  /* The waiter for a dying owner may reach the kernel before that owner has exited or after it. If
   * before, the kernel gives the PI mutex to it with WAITERS set, if after, without. */
  hides_waiters =
      operations[operation].run == wait_for_dying && now.protocol == PTHREAD_PRIO_INHERIT;
  print_all();
  hides_waiters = 0;
  /* What an unlock by this thread returns then. */
  printf("  then unlock: %s\n", name_of_error(unlock()));
  print_all();
  if (brim) mutex.__data.__count = 1;
  int error;
  do error = unlock();
  while (error == 0 || error == ENOTRECOVERABLE);
  pthread_mutex_unlock(&before);
  pthread_mutex_unlock(&after);
  printf("  at last:\n");
  print_all();
}

int main(void) {
  main_tid = own_tid();
  alarm(240);
  for (size_t i = 0; i < COUNT(configs); ++i) {
    now = configs[i];
    for (size_t state = 0; state < COUNT(states); ++state)
      for (size_t operation = 0; operation < COUNT(operations); ++operation) run(state, operation);
  }
  return 0;
}
