/* SPDX-License-Identifier: MIT */
/*
 * mixed_storm LIBRARY KILLS [SEED]: processes with the preload library and without share robust
 * mutexes, and are killed at random. After each kill every mutex can still be locked: none is lost,
 * and no process sleeps for ever on a word that another has left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MUTEXES = 4, WORKERS = 4, PATIENCE_SECONDS = 30 };

struct guarded {
  pthread_mutex_t mutex;
  uint64_t first, second; /* equal while no process is inside */
  uint64_t repaired;
};
struct stage {
  struct guarded guarded[MUTEXES];
};

static uint64_t next_random(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void must(int holds, const char* what) {
  if (holds) return;
  printf("mixed_storm: %s\n", what);
  exit(1);
}

static void create(pthread_mutex_t* mutex, int type, int protocol) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type);
  pthread_mutexattr_setprotocol(&attributes, protocol);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  must(pthread_mutex_init(mutex, &attributes) == 0, "a mutex cannot be made");
  pthread_mutexattr_destroy(&attributes);
}

static int acquire(pthread_mutex_t* mutex, uint64_t random) {
  struct timespec soon;
  switch (random % 4) {
  case 0:
    return pthread_mutex_trylock(mutex);
  case 1:
    clock_gettime(CLOCK_REALTIME, &soon);
    ++soon.tv_sec;
    return pthread_mutex_timedlock(mutex, &soon);
  default:
    return pthread_mutex_lock(mutex);
  }
}

/* True when the caller is inside. */
static int enter(struct guarded* at, int error) {
  if (error == EOWNERDEAD) {
    at->second = at->first;
    ++at->repaired;
    must(pthread_mutex_consistent(&at->mutex) == 0, "a mutex cannot be made consistent");
    return 1;
  }
  must(error == 0 || error == EBUSY || error == ETIMEDOUT, "a lock fails");
  return error == 0;
}

static void work(struct stage* stage, uint64_t random) {
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  const struct timespec long_ago = {1, 0};
  for (;;) {
    struct guarded* const at = &stage->guarded[next_random(&random) % MUTEXES];
    if (!enter(at, acquire(&at->mutex, next_random(&random)))) continue;
    must(at->first == at->second, "two are inside, or a dead owner was not told of");
    __atomic_fetch_add(&at->first, 1, __ATOMIC_RELAXED);
    /* Long enough to be killed here. */
    for (volatile int i = 0; i < 20000; ++i) {
    }
    __atomic_fetch_add(&at->second, 1, __ATOMIC_RELAXED);
    if (next_random(&random) % 8 == 0) {
      /* Releases it and takes it back. */
      const int error = pthread_cond_timedwait(&condition, &at->mutex, &long_ago);
      if (error == EOWNERDEAD)
        enter(at, error);
      else
        must(error == ETIMEDOUT, "a wait fails");
    }
    must(pthread_mutex_unlock(&at->mutex) == 0, "an unlock fails");
  }
}

static pid_t start(const char* library, int memory, uint64_t random) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  must(child >= 0, "fork fails");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  char file[16], seed[32];
  snprintf(file, sizeof file, "%d", memory);
  snprintf(seed, sizeof seed, "%llu", (unsigned long long)random);
  if (library != NULL) setenv("LD_PRELOAD", library, 1);
  execl("/proc/self/exe", "mixed_storm", "--work", file, seed, (char*)NULL);
  _exit(127);
}

static struct stage* map(int memory) {
  void* const at = mmap(NULL, sizeof(struct stage), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  must(at != MAP_FAILED, "mmap fails");
  return at;
}

static void await_progress(const struct stage* stage, const pid_t* workers) {
  uint64_t before[MUTEXES];
  for (int i = 0; i < MUTEXES; ++i)
    before[i] = __atomic_load_n(&stage->guarded[i].first, __ATOMIC_RELAXED);
  for (int waited = 0; waited < PATIENCE_SECONDS * 1000; ++waited) {
    int still = 0;
    for (int i = 0; i < MUTEXES; ++i)
      still += __atomic_load_n(&stage->guarded[i].first, __ATOMIC_RELAXED) == before[i];
    if (still == 0) return;
    for (int i = 0; i < WORKERS; ++i)
      must(waitpid(workers[i], NULL, WNOHANG) == 0, "a worker ended by itself");
    usleep(1000);
  }
  must(0, "a mutex does not get on");
}

int main(int argc, char** argv) {
  if (argc == 4 && strcmp(argv[1], "--work") == 0) {
    work(map(atoi(argv[2])), strtoull(argv[3], NULL, 0));
    return 1;
  }
  if (argc < 3) {
    fputs("usage: mixed_storm LIBRARY KILLS [SEED]\n", stderr);
    return 2;
  }
  uint64_t random =
      argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
  printf("mixed_storm: seed %llu\n", (unsigned long long)random);
  fflush(stdout);
  const int memory = memfd_create("mixed_storm", 0);
  must(memory >= 0 && ftruncate(memory, sizeof(struct stage)) == 0, "no memory");
  struct stage* const stage = map(memory);
  create(&stage->guarded[0].mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE);
  create(&stage->guarded[1].mutex, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE);
  create(&stage->guarded[2].mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT);
  create(&stage->guarded[3].mutex, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT);

  pid_t workers[WORKERS];
  for (int i = 0; i < WORKERS; ++i)
    workers[i] = start(i % 2 == 0 ? argv[1] : NULL, memory, next_random(&random));
  await_progress(stage, workers);
  const int kills = atoi(argv[2]);
  for (int i = 0; i < kills; ++i) {
    const int chosen = (int)(next_random(&random) % WORKERS);
    usleep((useconds_t)(next_random(&random) % 3000));
    kill(workers[chosen], SIGKILL);
    must(waitpid(workers[chosen], NULL, 0) == workers[chosen], "a killed worker cannot be reaped");
    workers[chosen] = start(chosen % 2 == 0 ? argv[1] : NULL, memory, next_random(&random));
    await_progress(stage, workers);
  }
  for (int i = 0; i < WORKERS; ++i) kill(workers[i], SIGKILL);
  for (int i = 0; i < WORKERS; ++i) waitpid(workers[i], NULL, 0);
  uint64_t changes = 0, repaired = 0;
  for (int i = 0; i < MUTEXES; ++i) {
    struct guarded* const at = &stage->guarded[i];
    must(enter(at, pthread_mutex_trylock(&at->mutex)), "a mutex is lost");
    changes += at->first;
    repaired += at->repaired;
  }
  printf("mixed_storm: %d kills, %llu of them of an owner, %llu changes: every mutex gets on\n",
         kills, (unsigned long long)repaired, (unsigned long long)changes);
  must(repaired != 0 || kills == 0, "no owner was killed, which proves nothing");
  return 0;
}
