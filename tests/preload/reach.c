/* SPDX-License-Identifier: MIT */
/*
 * reach LEVEL MODULE: by which ways a call comes to the preload library, when it runs at LEVEL
 * (hook, interpose, or none without the library). MODULE: reach_module.c.
 *
 * A mutex whose word is FUTEX_WAITERS alone tells: it is free, but glibc takes it for locked.
 * Each way is tried by a process of its own, which a signal ends if it sleeps on that word.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef int (*operation)(pthread_mutex_t*);

static const char* module;
static pthread_mutex_t mutex;

static void fail(const char* what) {
  printf("reach: %s\n", what);
  fflush(stdout);
  _exit(1);
}

static operation operation_at(void* address) {
  if (address == NULL) fail(dlerror());
  return (operation)(uintptr_t)address;
}

static operation find(void* in, const char* name) {
  return operation_at(dlsym(in, name));
}

static void* loaded(void* library) {
  if (library == NULL) fail(dlerror());
  return library;
}

/* The libc's own, past everything in front of it. */
static operation of_the_libc(const char* name) {
  return operation_at(dlvsym(RTLD_DEFAULT, name, "GLIBC_2.2.5"));
}

/* Each returns what the operation did. */

static int a_call(void) {
  return pthread_mutex_trylock(&mutex);
}
/* Of which glibc keeps an old version alone. */
static int a_call_by_an_old_name(void) {
  void* const found = dlsym(RTLD_DEFAULT, "__pthread_mutex_trylock");
  return (found != NULL ? operation_at(found) : of_the_libc("__pthread_mutex_trylock"))(&mutex);
}
static int timed_by_a_clock(void) {
  const struct timespec long_ago = {1, 0};
  return pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &long_ago);
}
static int the_libcs_lock(void) {
  return of_the_libc("pthread_mutex_lock")(&mutex);
}
static int the_libcs_trylock(void) {
  return of_the_libc("pthread_mutex_trylock")(&mutex);
}

static int in_a_module(void) {
  return find(loaded(dlopen(module, RTLD_NOW)), "module_trylock")(&mutex);
}
static int in_a_deeply_bound_module(void) {
  void* const library = loaded(dlopen(module, RTLD_NOW | RTLD_DEEPBIND));
  return find(library, "module_lock")(&mutex);
}
static int in_another_namespace(void) {
  void* const library = loaded(dlmopen(LM_ID_NEWLM, module, RTLD_NOW));
  return find(library, "module_trylock")(&mutex);
}

static int in_a_child(void) {
  const pid_t child = fork();
  if (child == 0) {
    const int result = pthread_mutex_trylock(&mutex);
    if (result == 0 && mutex.__data.__owner != getpid()) fail("a child locks in another's name");
    _exit(result);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) fail("a child did not exit");
  return WEXITSTATUS(status);
}

static void* lock_in_thread(void* result) {
  *(int*)result = pthread_mutex_trylock(&mutex);
  if (*(int*)result == 0 && mutex.__data.__owner != gettid()) fail("a thread has another's TID");
  return NULL;
}
static int in_a_thread(void) {
  pthread_t thread;
  int result = -1;
  if (pthread_create(&thread, NULL, lock_in_thread, &result) != 0) fail("no thread");
  pthread_join(thread, NULL);
  return result;
}

static void* leave_waiters(void* nothing) {
  while (__atomic_load_n(&mutex.__data.__lock, __ATOMIC_RELAXED) != 0) usleep(100);
  __atomic_store_n(&mutex.__data.__lock, (int)FUTEX_WAITERS, __ATOMIC_RELAXED);
  return nothing;
}
/* The way back of pthread_cond_wait. */
static int in_a_wait(void) {
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  pthread_t thread;
  mutex.__data.__lock = 0;
  if (pthread_mutex_lock(&mutex) != 0) fail("a free mutex cannot be locked");
  if (pthread_create(&thread, NULL, leave_waiters, NULL) != 0) fail("no thread");
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 1;
  const int result = pthread_cond_timedwait(&condition, &mutex, &until);
  return result == ETIMEDOUT ? 0 : result;
}

struct way {
  const char* name;
  int (*go)(void);
  /* The lowest level that takes the call over: 1 interpose, 2 hook, 3 none does. */
  int level;
};
static const struct way ways[] = {
    {"a call", a_call, 1},
    {"a call by an old name", a_call_by_an_old_name, 1},
    {"a lock with a time-out by a clock", timed_by_a_clock, 1},
    {"a call in a library that dlopen brings later", in_a_module, 1},
    {"a call in the child of fork", in_a_child, 1},
    {"a call in a thread", in_a_thread, 1},
    {"pthread_cond_timedwait", in_a_wait, 2},
    {"the libc's own pthread_mutex_lock, found by dlvsym", the_libcs_lock, 2},
    {"a lock in a library that is bound to the libc (RTLD_DEEPBIND)", in_a_deeply_bound_module, 2},
    {"the libc's own pthread_mutex_trylock, found by dlvsym", the_libcs_trylock, 3},
    {"a call in another namespace (dlmopen)", in_another_namespace, 3},
};

static void create(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (pthread_mutex_init(&mutex, &attributes) != 0) fail("a mutex cannot be made");
  mutex.__data.__lock = (int)FUTEX_WAITERS;
}

static int is_taken_over(const struct way* way) {
  const pid_t child = fork();
  if (child == 0) {
    create();
    /* Much more than an operation that does not sleep takes. */
    alarm(10);
    _exit(way->go() == 0 ? 0 : 2);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) fail("fork");
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return 0;
  if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 2)) fail(way->name);
  return WEXITSTATUS(status) == 0;
}

int main(int argc, char** argv) {
  const char* const levels[] = {"none", "interpose", "hook"};
  int level = 0;
  if (argc != 3) return 2;
  while (level < 3 && strcmp(argv[1], levels[level]) != 0) ++level;
  if (level == 3) return 2;
  module = argv[2];
  setvbuf(stdout, NULL, _IOLBF, 0);
  int wrong = 0;
  for (size_t i = 0; i < sizeof ways / sizeof *ways; ++i) {
    const int taken_over = is_taken_over(&ways[i]);
    const int right = taken_over == (ways[i].level <= level);
    printf("%s: %s%s\n", ways[i].name, taken_over ? "taken over" : "the libc's",
           right ? "" : ", WRONG");
    wrong += !right;
  }
  printf("reach: %s at level %s\n", wrong == 0 ? "as documented" : "WRONG", levels[level]);
  return wrong != 0;
}
