/* SPDX-License-Identifier: MIT */
/*
 * musl's mutexes, in a static program of their own, since a process has one libc.
 * Usage: musl_rival normal|robust MILLISECONDS. Prints the CPU time of one pair of lock
 * and unlock in nanoseconds.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static double cpu_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const double enough = atof(argv[2]) * 1e6;
  pthread_mutex_t* mutex =
      mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mutex == MAP_FAILED) return 1;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (strcmp(argv[1], "robust") == 0) {
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  }
  if (pthread_mutex_init(mutex, &attributes) != 0) return 1;
  unsigned long pairs = 0;
  const double start = cpu_time();
  double taken = 0;
  while (taken < enough) {
    for (int i = 0; i < 10000; ++i) {
      if (pthread_mutex_lock(mutex) != 0 || pthread_mutex_unlock(mutex) != 0) return 1;
    }
    pairs += 10000;
    taken = cpu_time() - start;
  }
  printf("%.4f\n", taken / (double)pairs);
  return 0;
}
