/* SPDX-License-Identifier: MIT */
/*
 * musl's mutexes, in a static program of their own, since a process has one libc.
 *
 * musl_rival normal|robust MILLISECONDS
 *   Prints the CPU time of one pair of lock and unlock in nanoseconds.
 * musl_rival normal|robust MILLISECONDS PROCESSES STEPS
 *   Processes compete, as in contended.cpp. Prints the seconds that the contest took, the number of
 *   pairs of all processes, the number of pairs of the process with the fewest, and the longest gap
 *   in nanoseconds.
 * musl_rival normal|robust MILLISECONDS PROCESSES waits NANOSECONDS
 *   Processes wait for each other, as in waits.cpp. Prints the longest wait and the one that 99 of
 * 100 do not exceed, in nanoseconds, the pairs a second, and the fewest pairs of a process.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { most_processes = 8, pairs_per_gap = 64, watchdog_seconds = 30, most_waits = 1 << 17 };

struct contender {
  _Alignas(64) uint64_t pairs;
  uint64_t longest_gap;
};

struct stage {
  _Alignas(64) pthread_mutex_t mutex;
  /* Guarded by the mutex. */
  _Alignas(64) uint64_t pairs;
  uint64_t value;
  _Alignas(64) pthread_barrier_t start;
  _Alignas(64) atomic_bool stop;
  struct contender contenders[most_processes];
  /* Of the first pairs of each process, in nanoseconds. */
  uint32_t waits[most_processes][most_waits];
};

static void require(bool fine, const char* what) {
  if (fine) return;
  fprintf(stderr, "musl_rival: %s\n", what);
  abort();
}

static double time_by(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void lock(pthread_mutex_t* mutex) {
  require(pthread_mutex_lock(mutex) == 0, "pthread_mutex_lock failed");
}

static void unlock(pthread_mutex_t* mutex) {
  require(pthread_mutex_unlock(mutex) == 0, "pthread_mutex_unlock failed");
}

static void measure_alone(pthread_mutex_t* mutex, double enough) {
  unsigned long pairs = 0;
  const double start = time_by(CLOCK_THREAD_CPUTIME_ID);
  double taken = 0;
  while (taken < enough) {
    for (int i = 0; i < 10000; ++i) {
      lock(mutex);
      unlock(mutex);
    }
    pairs += 10000;
    taken = time_by(CLOCK_THREAD_CPUTIME_ID) - start;
  }
  printf("%.4f\n", taken / (double)pairs);
}

/* As in contended.cpp. */
static uint64_t work(uint64_t value, int steps) {
  for (int i = 0; i < steps; ++i) {
    value = value * 6364136223846793005U + 1442695040888963407U;
    __asm__ volatile("" : "+r"(value));
  }
  return value;
}

static void compete(struct stage* here, struct contender* self, int steps) {
  uint64_t mine = 1;
  uint64_t pairs = 0;
  double last = time_by(CLOCK_MONOTONIC);
  while (!atomic_load_explicit(&here->stop, memory_order_relaxed)) {
    lock(&here->mutex);
    ++here->pairs;
    here->value = work(here->value, steps);
    unlock(&here->mutex);
    mine = work(mine, steps);
    if (++pairs % pairs_per_gap != 0) continue;
    const double now = time_by(CLOCK_MONOTONIC);
    const uint64_t gap = (uint64_t)(now - last);
    if (gap > self->longest_gap) self->longest_gap = gap;
    last = now;
  }
  self->pairs = pairs;
}

static void wait_in_turn(struct stage* here, struct contender* self, double section) {
  uint32_t* waits = here->waits[self - here->contenders];
  uint64_t pairs = 0;
  while (!atomic_load_explicit(&here->stop, memory_order_relaxed)) {
    const double asked = time_by(CLOCK_MONOTONIC);
    lock(&here->mutex);
    const double got = time_by(CLOCK_MONOTONIC);
    while (time_by(CLOCK_MONOTONIC) - got < section) {
    }
    ++here->pairs;
    unlock(&here->mutex);
    if (pairs < most_waits) waits[pairs] = (uint32_t)(got - asked);
    ++pairs;
  }
  self->pairs = pairs;
}

/* The number of the allowed CPU that is this contender's. */
static int cpu_of(const cpu_set_t* allowed, int number) {
  number %= CPU_COUNT(allowed);
  int cpu = 0;
  while (!CPU_ISSET((size_t)cpu, allowed) || number-- > 0) ++cpu;
  return cpu;
}

/* What a contender does: `steps` of work, or sections of so many nanoseconds. */
struct contest {
  bool waits;
  int steps;
  double section;
};

static pid_t start_contender(struct stage* here, const cpu_set_t* allowed, int number,
                             const struct contest* contest) {
  const pid_t child = fork();
  require(child >= 0, "fork failed");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(watchdog_seconds);
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET((size_t)cpu_of(allowed, number), &own);
  require(sched_setaffinity(0, sizeof own, &own) == 0, "sched_setaffinity failed");
  pthread_barrier_wait(&here->start);
  if (contest->waits) {
    wait_in_turn(here, &here->contenders[number], contest->section);
  } else {
    compete(here, &here->contenders[number], contest->steps);
  }
  _exit(0);
}

static int compare_waits(const void* one, const void* other) {
  const uint32_t a = *(const uint32_t*)one;
  const uint32_t b = *(const uint32_t*)other;
  return (a > b) - (a < b);
}

static void print_waits(struct stage* here, int processes, double taken, uint64_t fewest) {
  uint32_t* all = malloc(sizeof here->waits);
  size_t count = 0;
  require(all != NULL, "no memory");
  for (int i = 0; i < processes; ++i) {
    const uint64_t pairs = here->contenders[i].pairs;
    for (uint64_t k = 0; k < pairs && k < most_waits; ++k) all[count++] = here->waits[i][k];
  }
  require(count > 0, "nobody got the mutex");
  qsort(all, count, sizeof *all, compare_waits);
  printf("%u %u %.9f %" PRIu64 "\n", all[count - 1], all[(count - 1) * 99 / 100],
         (double)here->pairs / (taken * 1e-9), fewest);
  free(all);
}

static void measure_contended(struct stage* here, double nanoseconds, int processes,
                              const struct contest* contest) {
  require(processes >= 1 && processes <= most_processes, "1 to 8 processes");
  cpu_set_t allowed;
  require(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "sched_getaffinity failed");
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  require(pthread_barrier_init(&here->start, &attributes, (unsigned)processes + 1) == 0,
          "pthread_barrier_init failed");

  pid_t children[most_processes];
  for (int i = 0; i < processes; ++i) children[i] = start_contender(here, &allowed, i, contest);
  pthread_barrier_wait(&here->start);
  const double begin = time_by(CLOCK_MONOTONIC);
  const struct timespec pause = {(time_t)(nanoseconds / 1e9), (long)nanoseconds % 1000000000};
  require(nanosleep(&pause, NULL) == 0, "nanosleep failed");
  atomic_store(&here->stop, true);
  for (int i = 0; i < processes; ++i) {
    int status = 0;
    require(waitpid(children[i], &status, 0) == children[i], "waitpid failed");
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a contender died");
  }
  const double taken = time_by(CLOCK_MONOTONIC) - begin;

  uint64_t pairs = 0;
  uint64_t fewest = UINT64_MAX;
  uint64_t longest_gap = 0;
  for (int i = 0; i < processes; ++i) {
    const struct contender* one = &here->contenders[i];
    pairs += one->pairs;
    if (one->pairs < fewest) fewest = one->pairs;
    if (one->longest_gap > longest_gap) longest_gap = one->longest_gap;
  }
  require(pairs == here->pairs, "two processes were in a critical section at once");
  if (contest->waits) return print_waits(here, processes, taken, fewest);
  printf("%.9f %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", taken * 1e-9, pairs, fewest, longest_gap);
}

int main(int argc, char** argv) {
  if (argc != 3 && argc != 5 && (argc != 6 || strcmp(argv[4], "waits") != 0)) return 2;
  const double nanoseconds = atof(argv[2]) * 1e6;
  struct stage* here =
      mmap(NULL, sizeof *here, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(here != MAP_FAILED, "mmap failed");
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (strcmp(argv[1], "robust") == 0) {
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  }
  require(pthread_mutex_init(&here->mutex, &attributes) == 0, "pthread_mutex_init failed");
  if (argc == 3) {
    measure_alone(&here->mutex, nanoseconds);
  } else {
    const struct contest contest = {
        .waits = argc == 6,
        .steps = argc == 6 ? 0 : atoi(argv[4]),
        .section = argc == 6 ? atof(argv[5]) : 0,
    };
    measure_contended(here, nanoseconds, atoi(argv[3]), &contest);
  }
  return 0;
}
