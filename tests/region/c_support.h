/* SPDX-License-Identifier: MIT */
/* What the tests from C share: a check that ends the process, children with a watchdog, times. */
#ifndef DEADBOLT_TESTS_REGION_C_SUPPORT_H
#define DEADBOLT_TESTS_REGION_C_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                    \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

static inline struct timespec after_ms(clockid_t clock, long ms) {
  struct timespec time;
  clock_gettime(clock, &time);
  time.tv_nsec += ms * 1000000;
  time.tv_sec += time.tv_nsec / 1000000000;
  time.tv_nsec %= 1000000000;
  return time;
}

static inline void expect_exit_0(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline pid_t start(void) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) alarm(30);
  return child;
}

#endif
