/* SPDX-License-Identifier: MIT */
/* increments_c KIND: as increments, from C. */
#define _GNU_SOURCE
#include <deadbolt/region.h>
#include <deadbolt/robust_mutex.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { rounds = 10000, turns = 100 };

static struct objects {
  struct deadbolt_mutex lock;
  struct deadbolt_shared_mutex shared;
  struct deadbolt_condition_variable changed;
  struct deadbolt_permit permits[2];
  struct deadbolt_robust_mutex robust;
  struct deadbolt_robust_pi_mutex pi;
} * in;
static long count;

static void want(bool truth) {
  if (!truth) abort();
}

static void* with_mutex(void* unused) {
  for (int i = 0; i < rounds; ++i) {
    want((i % 2 == 0 ? deadbolt_mutex_lock(&in->lock)
                     : deadbolt_mutex_lock_until(&in->lock, CLOCK_MONOTONIC,
                                                 &(struct timespec){.tv_sec = 1000000000})) ==
         DEADBOLT_ACQUIRED);
    ++count;
    deadbolt_mutex_unlock(&in->lock);
  }
  return unused;
}

static void* with_robust_mutex(void* unused) {
  for (int i = 0; i < rounds; ++i) {
    want((i % 2 == 0 ? deadbolt_robust_mutex_lock(&in->robust)
                     : deadbolt_robust_mutex_lock_until(
                           &in->robust, CLOCK_REALTIME,
                           &(struct timespec){.tv_sec = 100000000000})) == DEADBOLT_ACQUIRED);
    ++count;
    deadbolt_robust_mutex_unlock(&in->robust);
  }
  return unused;
}

static void* with_robust_pi_mutex(void* unused) {
  for (int i = 0; i < rounds; ++i) {
    while (i % 2 == 0 && deadbolt_robust_pi_mutex_try_lock(&in->pi) != DEADBOLT_ACQUIRED) continue;
    want(i % 2 == 0 || deadbolt_robust_pi_mutex_lock(&in->pi) == DEADBOLT_ACQUIRED);
    ++count;
    deadbolt_robust_pi_mutex_unlock(&in->pi);
  }
  return unused;
}

static void* with_shared_mutex(void* unused) {
  for (int i = 0; i < rounds; ++i) {
    want(deadbolt_shared_mutex_lock(&in->shared) == DEADBOLT_ACQUIRED);
    ++count;
    deadbolt_shared_mutex_unlock(&in->shared);
    want(deadbolt_shared_mutex_lock_shared(&in->shared) == DEADBOLT_ACQUIRED);
    want(count > i);
    deadbolt_shared_mutex_unlock_shared(&in->shared);
  }
  return unused;
}

/* What readers write is a race. */
static void* as_readers(void* unused) {
  for (int i = 0; i < rounds; ++i) {
    want(deadbolt_shared_mutex_lock_shared(&in->shared) == DEADBOLT_ACQUIRED);
    ++count;
    deadbolt_shared_mutex_unlock_shared(&in->shared);
  }
  return unused;
}

static void* with_semaphore(void* unused) {
  for (int i = 0; i < rounds; ++i) {
    want(deadbolt_counting_semaphore_acquire(in->permits, 2) == DEADBOLT_ACQUIRED);
    ++count;
    deadbolt_counting_semaphore_release(in->permits, 2);
  }
  return unused;
}

static void* with_condition_variable(void* mine) {
  for (int i = 0; i < turns; ++i) {
    want(deadbolt_mutex_lock(&in->lock) == DEADBOLT_ACQUIRED);
    while (count % 2 != (mine != NULL))
      want(deadbolt_condition_variable_wait(&in->changed, &in->lock) == DEADBOLT_AWAKE);
    ++count;
    deadbolt_condition_variable_notify_one(&in->changed);
    deadbolt_mutex_unlock(&in->lock);
  }
  return NULL;
}

/* The thread that comes first constructs the object. */
static void* constructing(void* region) {
  bool fresh = false;
  long* made = deadbolt_region_find_or_begin_construct(
      region, "number", sizeof *made, _Alignof(long), DEADBOLT_OBJECT_OTHER, &fresh);
  want(made != NULL);
  if (fresh) {
    *made = 42;
    deadbolt_region_end_construct(region, "number", true);
  }
  want(*made == 42);
  return NULL;
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void* (*work)(void*);
    int end; /* what count must be then; 0: anything */
  } kinds[] = {
      {"mutex", with_mutex, 2 * rounds},
      {"robust", with_robust_mutex, 2 * rounds},
      {"pi", with_robust_pi_mutex, 2 * rounds},
      {"shared_mutex", with_shared_mutex, 2 * rounds},
      {"semaphore", with_semaphore, 2 * rounds},
      {"condition_variable", with_condition_variable, 2 * turns},
      {"construct", constructing, 0},
      {"readers", as_readers, 0},
  };
  struct deadbolt_region region = DEADBOLT_REGION_INIT;
  const struct deadbolt_region_options options = {.size = 4096, .members = 8};
  want(deadbolt_region_create_anonymous(&region, "increments", &options) == DEADBOLT_REGION_OPEN);
  in = deadbolt_region_data(&region);
  deadbolt_counting_semaphore_init(in->permits, 2, 1);
  deadbolt_robust_mutex_init(&in->robust);
  deadbolt_robust_pi_mutex_init(&in->pi);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    if (argc != 2 || strcmp(argv[1], kinds[i].name) != 0) continue;
    pthread_t other;
    want(pthread_create(&other, NULL, kinds[i].work, &region) == 0);
    kinds[i].work(kinds[i].work == constructing ? &region : NULL);
    want(pthread_join(other, NULL) == 0);
    return kinds[i].end == 0 || count == kinds[i].end ? 0 : 1;
  }
  return 2;
}
