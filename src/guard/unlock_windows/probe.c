// SPDX-License-Identifier: MIT
// The program that `deadbolt windows` steps. The libc that is to be measured loads it, glibc or
// musl, so that it can use no libc's headers. The functions that it calls have the same meaning in
// both. Their objects are opaque here, and larger than those of either.
#include "probe_processor.h"
#include "probe_protocol.h"

typedef struct {
  _Alignas(64) unsigned char bytes[256];
} opaque;

int pthread_mutexattr_init(opaque* attributes);
int pthread_mutexattr_settype(opaque* attributes, int type);
int pthread_mutexattr_setpshared(opaque* attributes, int shared);
int pthread_mutexattr_setrobust(opaque* attributes, int robust);
int pthread_mutexattr_setprotocol(opaque* attributes, int protocol);
int pthread_mutex_init(opaque* mutex, const opaque* attributes);
int pthread_mutex_lock(opaque* mutex);
int pthread_mutex_unlock(opaque* mutex);
int pthread_condattr_init(opaque* attributes);
int pthread_condattr_setpshared(opaque* attributes, int shared);
int pthread_cond_init(opaque* condition, const opaque* attributes);
struct time {
  long seconds;
  long nanoseconds;
};
int pthread_mutex_timedlock(opaque* mutex, const struct time* until);
int pthread_cond_timedwait(opaque* condition, opaque* mutex, const struct time* until);
void* mmap(void* address, unsigned long length, int protection, int flags, int file, long offset);
int fork(void);
int waitpid(int pid, int* status, int options);
int prctl(int what, unsigned long argument, unsigned long, unsigned long, unsigned long);
int pause(void);
void _exit(int status);
// NOLINTNEXTLINE(bugprone-reserved-identifier, readability-identifier-naming): the libc's
int __libc_start_main(int (*main)(int, char**), int argc, char** argv, void (*init)(void),
                      void (*fini)(void), void (*loader_fini)(void));

enum {
  recursive = 1,
  errorcheck = 2,
  process_shared = 1,
  robust = 1,
  inherit = 1,
  owner_died = 130,
  no_rights_but_read_write = 3,
  map_shared_anonymous = 0x21,
  set_death_signal = 1,
  sigkill = 9,
};

struct shared {
  opaque mutex;
  opaque condition;
};

static int make_mutex(struct shared* at, const char* const* how) {
  opaque attributes;
  const int shared = how[2][0] == 's' ? process_shared : 0;
  int bad = pthread_mutexattr_init(&attributes);
  if (how[0][0] == 'r') bad |= pthread_mutexattr_settype(&attributes, recursive);
  if (how[0][0] == 'e') bad |= pthread_mutexattr_settype(&attributes, errorcheck);
  bad |= pthread_mutexattr_setpshared(&attributes, shared);
  bad |= pthread_mutexattr_setrobust(&attributes, robust);
  if (how[1][0] == 'i') bad |= pthread_mutexattr_setprotocol(&attributes, inherit);
  bad |= pthread_mutex_init(&at->mutex, &attributes);
  bad |= pthread_condattr_init(&attributes);
  bad |= pthread_condattr_setpshared(&attributes, shared);
  return bad | pthread_cond_init(&at->condition, &attributes);
}

// A process that sleeps in lock. It lives until this process ends.
static int start_waiter(struct shared* at) {
  const int waiter = fork();
  if (waiter != 0) return waiter;
  prctl(set_death_signal, sigkill, 0, 0, 0);
  pthread_mutex_lock(&at->mutex);
  // Its end would send a signal in the middle of the steps.
  for (;;) pause();
}

static void let_an_owner_die(struct shared* at) {
  const int owner = fork();
  if (owner == 0) {
    pthread_mutex_lock(&at->mutex);
    _exit(0);
  }
  waitpid(owner, 0, 0);
}

static int run(int argc, char** argv) {
  if (argc != 5) return 2;
  const char operation = argv[4][0];
  struct shared* const at =
      mmap(0, sizeof *at, no_rights_but_read_write, map_shared_anonymous, -1, 0);
  if (at == (void*)-1 || make_mutex(at, (const char* const*)argv + 1) != 0) return 3;

  const int not_recoverable = operation == 'x' || operation == 't';
  const int locks = operation == 'l' || operation == 'o' || not_recoverable;
  const int inherits = not_recoverable || operation == 'y';
  if (inherits || operation == 'o') let_an_owner_die(at);
  if ((inherits || !locks) && pthread_mutex_lock(&at->mutex) != (inherits ? owner_died : 0))
    return 4;
  // Whoever releases it without having made it consistent leaves it not recoverable.
  if (not_recoverable && pthread_mutex_unlock(&at->mutex) != 0) return 4;
  // musl registers its list with the first robust lock.
  long head = robust_list_head();
  if (locks) {
    static struct shared other;
    if (make_mutex(&other, (const char* const*)argv + 1) != 0) return 3;
    if (pthread_mutex_lock(&other.mutex) != 0 || pthread_mutex_unlock(&other.mutex) != 0) return 4;
    head = robust_list_head();
  }
  if (head == 0) return DEADBOLT_PROBE_NO_LIST;
  int waiter = 0;
  if (operation == 'w' || operation == 'd') waiter = start_waiter(at);
  if (waiter < 0) return 6;

  static const struct time long_ago;
  stop(DEADBOLT_PROBE_READY, head, waiter);
  switch (operation) {
  case 'u':
  case 'w':
    pthread_mutex_unlock(&at->mutex);
    break;
  case 'c':
  case 'd':
  case 'y':
    pthread_cond_timedwait(&at->condition, &at->mutex, &long_ago);
    break;
  case 't':
    pthread_mutex_timedlock(&at->mutex, &long_ago);
    break;
  default:
    pthread_mutex_lock(&at->mutex);
    break;
  }
  stop(DEADBOLT_PROBE_DONE, head, waiter);
  return 0;
}

// The entry point. The start-up functions of both libcs accept these arguments.
__attribute__((used)) static void begin(long* stack, void (*loader_fini)(void)) {
  __libc_start_main(run, (int)stack[0], (char**)(stack + 1), 0, 0, loader_fini);
  _exit(7);
}

__asm__(PROBE_START);
