/* SPDX-License-Identifier: MIT */
/*
 * late_load LIBRARY: loads the preload library by dlopen while threads lock, wait and unlock, and
 * while a signal comes every 100 microseconds whose handler does so too. No thread may find another
 * one inside, and all go on for a while after that.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MUTEXES = 3, THREADS_EACH = 2, ROUNDS = 2000 };

static struct guarded {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  uint64_t first, second; /* equal while nobody is inside */
} guarded[MUTEXES];
static pthread_mutex_t of_handler;
static uint64_t rounds[MUTEXES * THREADS_EACH], handled;
static int stop;

static void must(int holds, const char* what) {
  if (holds) return;
  printf("late_load: %s\n", what);
  exit(1);
}

static void create(pthread_mutex_t* mutex, int type, int protocol) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type);
  pthread_mutexattr_setprotocol(&attributes, protocol);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  must(pthread_mutex_init(mutex, &attributes) == 0, "a mutex cannot be made");
}

static void* work(void* argument) {
  const size_t index = (size_t)(uintptr_t)argument;
  struct guarded* const at = &guarded[index % MUTEXES];
  const struct timespec long_ago = {1, 0};
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    must(pthread_mutex_lock(&at->mutex) == 0, "a lock fails");
    must(at->first == at->second, "two are inside");
    ++at->first;
    ++at->second;
    must(pthread_cond_timedwait(&at->condition, &at->mutex, &long_ago) == ETIMEDOUT,
         "a wait fails");
    must(at->first == at->second, "two are inside after a wait");
    ++at->first;
    ++at->second;
    must(pthread_mutex_unlock(&at->mutex) == 0, "an unlock fails");
    __atomic_fetch_add(&rounds[index], 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

/* In the main thread alone, which locks nothing by itself. */
static void on_alarm(int signal) {
  const int error = errno;
  (void)signal;
  if (pthread_mutex_lock(&of_handler) != 0) _exit(3);
  if (pthread_mutex_unlock(&of_handler) != 0) _exit(4);
  ++handled;
  errno = error;
}

static void await_rounds(void) {
  uint64_t goal[MUTEXES * THREADS_EACH];
  for (size_t i = 0; i < MUTEXES * THREADS_EACH; ++i)
    goal[i] = __atomic_load_n(&rounds[i], __ATOMIC_RELAXED) + ROUNDS;
  const uint64_t signals = handled + 100;
  for (size_t i = 0; i < MUTEXES * THREADS_EACH; ++i)
    while (__atomic_load_n(&rounds[i], __ATOMIC_RELAXED) < goal[i]) usleep(100);
  while (__atomic_load_n(&handled, __ATOMIC_RELAXED) < signals) usleep(100);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  create(&guarded[0].mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE);
  create(&guarded[1].mutex, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE);
  create(&guarded[2].mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT);
  create(&of_handler, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE);

  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarms, NULL);
  pthread_t threads[MUTEXES * THREADS_EACH];
  for (size_t i = 0; i < MUTEXES * THREADS_EACH; ++i) {
    pthread_cond_init(&guarded[i % MUTEXES].condition, NULL);
    must(pthread_create(&threads[i], NULL, work, (void*)(uintptr_t)i) == 0, "no thread");
  }
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
  const struct itimerval often = {{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &often, NULL);

  await_rounds();
  must(dlopen(argv[1], RTLD_NOW) != NULL, "the library is not loaded");
  await_rounds();

  const struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (size_t i = 0; i < MUTEXES * THREADS_EACH; ++i) pthread_join(threads[i], NULL);
  printf("late_load: %llu signals, threads went on\n", (unsigned long long)handled);
  return 0;
}
