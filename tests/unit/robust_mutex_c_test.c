/* SPDX-License-Identifier: MIT */
/* Every function of deadbolt/robust_mutex.h, protection.h, quiescence.h and with_recovery.h,
 * from C11. Exit status 0: all as it should be. */
#define _GNU_SOURCE
#include <deadbolt/protection.h>
#include <deadbolt/quiescence.h>
#include <deadbolt/robust_futex.h>
#include <deadbolt/robust_mutex.h>
#include <deadbolt/with_recovery.h>

#include "../region/c_support.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static const int64_t second = 1000000000;

static void* shared_memory(void) {
  void* memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  return memory;
}

static void unmap(void* memory) {
  const struct deadbolt_quiescence result = deadbolt_unmap(memory, 4096, second);
  CHECK(result.status == DEADBOLT_QUIESCENT && result.error == 0 && result.in_flight_count == 0);
}

static int repairs;
static bool repair(void* works) {
  ++repairs;
  return *(bool*)works;
}

/* The tests of both types. */
#define DEFINE_TESTS(type, initialiser)                                                            \
  static void type##_owner_dies(struct deadbolt_##type* lock) {                                    \
    const pid_t child = start();                                                                   \
    if (child == 0) {                                                                              \
      (void)!deadbolt_##type##_lock(lock);                                                         \
      raise(SIGKILL);                                                                              \
    }                                                                                              \
    int status = 0;                                                                                \
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));                             \
  }                                                                                                \
                                                                                                   \
  static void type##_results(void) {                                                               \
    static const struct deadbolt_##type fresh = initialiser;                                       \
    struct deadbolt_##type* lock = shared_memory();                                                \
    deadbolt_##type##_init(lock);                                                                  \
    CHECK(memcmp(lock, &fresh, sizeof *lock) == 0);                                                \
    CHECK(deadbolt_##type##_owner(lock) == 0);                                                     \
    CHECK(deadbolt_##type##_lock(lock) == DEADBOLT_ACQUIRED);                                      \
    CHECK(deadbolt_##type##_owner(lock) == (pid_t)syscall(SYS_gettid));                            \
    CHECK(deadbolt_##type##_lock(lock) == DEADBOLT_DEADLOCK);                                      \
    CHECK(deadbolt_##type##_try_lock(lock) == DEADBOLT_BUSY);                                      \
    const pid_t child = start();                                                                   \
    if (child == 0) {                                                                              \
      const struct timespec soon = after_ms(CLOCK_MONOTONIC, 1);                                   \
      const struct timespec soon_too = after_ms(CLOCK_REALTIME, 1);                                \
      CHECK(deadbolt_##type##_lock_until(lock, CLOCK_MONOTONIC, &soon) == DEADBOLT_TIMED_OUT);     \
      CHECK(deadbolt_##type##_lock_until(lock, CLOCK_REALTIME, &soon_too) == DEADBOLT_TIMED_OUT);  \
      CHECK(deadbolt_##type##_unlock(lock) == DEADBOLT_NOT_OWNER);                                 \
      _exit(0);                                                                                    \
    }                                                                                              \
    expect_exit_0(child);                                                                          \
    CHECK(!deadbolt_##type##_mark_consistent(lock));                                               \
    CHECK(deadbolt_##type##_unlock(lock) == DEADBOLT_RELEASED);                                    \
    deadbolt_##type##_destroy(lock);                                                               \
    unmap(lock);                                                                                   \
  }                                                                                                \
                                                                                                   \
  static void type##_owner_death(void) {                                                           \
    struct deadbolt_##type* lock = shared_memory();                                                \
    deadbolt_##type##_init(lock);                                                                  \
    type##_owner_dies(lock);                                                                       \
    CHECK(deadbolt_##type##_lock(lock) == DEADBOLT_OWNER_DIED);                                    \
    CHECK(deadbolt_##type##_mark_consistent(lock));                                                \
    CHECK(!deadbolt_##type##_mark_consistent(lock));                                               \
    CHECK(deadbolt_##type##_unlock(lock) == DEADBOLT_RELEASED);                                    \
                                                                                                   \
    repairs = 0;                                                                                   \
    bool works = true;                                                                             \
    type##_owner_dies(lock);                                                                       \
    for (int i = 0; i < 2; ++i) {                                                                  \
      CHECK(deadbolt_##type##_with_recovery(lock, deadbolt_##type##_lock(lock), repair, &works) == \
            DEADBOLT_ACQUIRED);                                                                    \
      CHECK(repairs == 1 && deadbolt_##type##_unlock(lock) == DEADBOLT_RELEASED);                  \
    }                                                                                              \
    works = false;                                                                                 \
    type##_owner_dies(lock);                                                                       \
    CHECK(deadbolt_##type##_with_recovery(lock, deadbolt_##type##_try_lock(lock), repair,          \
                                          &works) == DEADBOLT_NOT_RECOVERABLE);                    \
    CHECK(repairs == 2 && deadbolt_##type##_owner(lock) == 0);                                     \
    CHECK(deadbolt_##type##_lock(lock) == DEADBOLT_NOT_RECOVERABLE);                               \
    unmap(lock);                                                                                   \
  }

DEFINE_TESTS(robust_mutex, DEADBOLT_ROBUST_MUTEX_INIT)
DEFINE_TESTS(robust_pi_mutex, DEADBOLT_ROBUST_PI_MUTEX_INIT)

static void region_locks_recover(void) {
  struct {
    struct deadbolt_mutex mutex;
    struct deadbolt_shared_mutex shared_mutex;
  } * locks;
  struct deadbolt_region region = DEADBOLT_REGION_INIT;
  const struct deadbolt_region_options options = {.size = 4096, .members = 8};
  CHECK(deadbolt_region_create_anonymous(&region, "robust_mutex_c_test", &options) ==
        DEADBOLT_REGION_OPEN);
  locks = deadbolt_region_data(&region);
  const pid_t child = start();
  if (child == 0) {
    CHECK(deadbolt_mutex_lock(&locks->mutex) == DEADBOLT_ACQUIRED);
    CHECK(deadbolt_shared_mutex_lock(&locks->shared_mutex) == DEADBOLT_ACQUIRED);
    raise(SIGKILL);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  repairs = 0;
  bool works = true;
  CHECK(deadbolt_mutex_with_recovery(&locks->mutex, deadbolt_mutex_lock(&locks->mutex), repair,
                                     &works) == DEADBOLT_ACQUIRED);
  CHECK(deadbolt_shared_mutex_with_recovery(&locks->shared_mutex,
                                            deadbolt_shared_mutex_lock_shared(&locks->shared_mutex),
                                            repair, &works) == DEADBOLT_ACQUIRED);
  CHECK(repairs == 2);
  CHECK(deadbolt_mutex_unlock(&locks->mutex) == DEADBOLT_RELEASED);
  CHECK(deadbolt_shared_mutex_unlock_shared(&locks->shared_mutex) == DEADBOLT_RELEASED);
  CHECK(deadbolt_region_close(&region));
}

static void protection(void) {
  const enum deadbolt_protection_kind kind = deadbolt_protection();
  const char* const names[] = {"none", "guard", "kernel"};
  CHECK(strcmp(deadbolt_protection_name(kind), names[kind]) == 0);
  if (strcmp(deadbolt_engine(), "local") != 0) CHECK(kind == DEADBOLT_PROTECTION_KERNEL);
}

static void quiescence(void) {
  struct deadbolt_robust_mutex* lock = shared_memory();
  CHECK(deadbolt_wait_for_unlocks(lock, sizeof *lock, second).status == DEADBOLT_QUIESCENT);
  CHECK(deadbolt_unmap(lock, 4096, second).status == DEADBOLT_QUIESCENT);
  const struct deadbolt_quiescence refused = deadbolt_unmap((char*)lock + 1, 4096, second);
  CHECK(refused.status == DEADBOLT_QUIESCENCE_UNAVAILABLE && refused.error == EINVAL);
}

int main(void) {
  robust_mutex_results();
  robust_mutex_owner_death();
  robust_pi_mutex_results();
  robust_pi_mutex_owner_death();
  region_locks_recover();
  protection();
  quiescence();
  puts("robust mutexes from C: as they should be");
  return 0;
}
