/* SPDX-License-Identifier: MIT */
/* The condition variables and semaphores of deadbolt/region.h, from C11. Exit status 0: all as it
 * should be. */
#define _GNU_SOURCE
#include <deadbolt/region.h>

#include "c_support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { permits = 3, items = 500 };

struct board {
  struct deadbolt_mutex lock;
  struct deadbolt_condition_variable changed;
  struct deadbolt_permit pool[permits];
  unsigned long ready;
  unsigned long taken;
};

static void condition_variable(struct board* board) {
  struct deadbolt_condition_variable* changed = &board->changed;
  CHECK(deadbolt_condition_variable_wait(changed, &board->lock) == DEADBOLT_WAIT_NOT_OWNER);
  CHECK(deadbolt_mutex_lock(&board->lock) == DEADBOLT_ACQUIRED);
  struct timespec soon = after_ms(CLOCK_MONOTONIC, 10);
  CHECK(deadbolt_condition_variable_wait_until(changed, &board->lock, CLOCK_MONOTONIC, &soon) ==
        DEADBOLT_WAIT_TIMED_OUT);
  soon = after_ms(CLOCK_REALTIME, 10);
  CHECK(deadbolt_condition_variable_wait_until(changed, &board->lock, CLOCK_REALTIME, &soon) ==
        DEADBOLT_WAIT_TIMED_OUT);
  CHECK(deadbolt_mutex_unlock(&board->lock) == DEADBOLT_RELEASED);

  pid_t consumers[2];
  for (int i = 0; i < 2; ++i) {
    consumers[i] = start();
    if (consumers[i] != 0) continue;
    for (int item = 0; item < items; ++item) {
      CHECK(deadbolt_mutex_lock(&board->lock) == DEADBOLT_ACQUIRED);
      while (board->ready == 0)
        CHECK(deadbolt_condition_variable_wait(changed, &board->lock) == DEADBOLT_AWAKE);
      --board->ready;
      ++board->taken;
      CHECK(deadbolt_mutex_unlock(&board->lock) == DEADBOLT_RELEASED);
    }
    _exit(0);
  }
  for (int item = 0; item < 2 * items; ++item) {
    CHECK(deadbolt_mutex_lock(&board->lock) == DEADBOLT_ACQUIRED);
    ++board->ready;
    CHECK(deadbolt_mutex_unlock(&board->lock) == DEADBOLT_RELEASED);
    if (item % 2 == 0) {
      deadbolt_condition_variable_notify_one(changed);
    } else {
      deadbolt_condition_variable_notify_all(changed);
    }
  }
  for (int i = 0; i < 2; ++i) expect_exit_0(consumers[i]);
  CHECK(board->ready == 0 && board->taken == 2ul * items);

  const pid_t child = start();
  if (child == 0) {
    CHECK(deadbolt_mutex_lock(&board->lock) == DEADBOLT_ACQUIRED);
    board->ready = 1;
    raise(SIGKILL);
  }
  while (deadbolt_mutex_lock(&board->lock) == DEADBOLT_ACQUIRED && board->ready == 0) {
    /* The child is yet to come. It dies while this one sleeps, or before it is here again. */
    const enum deadbolt_wait_status woke = deadbolt_condition_variable_wait(changed, &board->lock);
    if (woke == DEADBOLT_WAIT_OWNER_DIED) break;
    CHECK(woke == DEADBOLT_AWAKE);
    CHECK(deadbolt_mutex_unlock(&board->lock) == DEADBOLT_RELEASED);
  }
  CHECK(deadbolt_mutex_mark_consistent(&board->lock));
  CHECK(deadbolt_mutex_unlock(&board->lock) == DEADBOLT_RELEASED);
  CHECK(waitpid(child, NULL, 0) == child);
  CHECK(strcmp(deadbolt_wait_status_name(DEADBOLT_WAIT_OWNER_DIED), "owner_died") == 0);
}

static void counting_semaphore(struct board* board) {
  struct deadbolt_permit* pool = board->pool;
  deadbolt_counting_semaphore_init(pool, permits, 2);
  CHECK(deadbolt_counting_semaphore_release(pool, permits) == DEADBOLT_NOT_OWNER);
  CHECK(deadbolt_counting_semaphore_acquire(pool, permits) == DEADBOLT_ACQUIRED);
  CHECK(deadbolt_counting_semaphore_try_acquire(pool, permits) == DEADBOLT_ACQUIRED);
  CHECK(deadbolt_counting_semaphore_try_acquire(pool, permits) == DEADBOLT_BUSY);
  CHECK(deadbolt_counting_semaphore_acquire(pool, permits) == DEADBOLT_DEADLOCK);
  pid_t child = start();
  if (child == 0) {
    struct timespec soon = after_ms(CLOCK_MONOTONIC, 10);
    CHECK(deadbolt_counting_semaphore_acquire_until(pool, permits, CLOCK_MONOTONIC, &soon) ==
          DEADBOLT_TIMED_OUT);
    soon = after_ms(CLOCK_REALTIME, 10);
    CHECK(deadbolt_counting_semaphore_acquire_until(pool, permits, CLOCK_REALTIME, &soon) ==
          DEADBOLT_TIMED_OUT);
    _exit(0);
  }
  expect_exit_0(child);
  CHECK(deadbolt_counting_semaphore_release(pool, permits) == DEADBOLT_RELEASED);
  child = start();
  if (child == 0) {
    CHECK(deadbolt_counting_semaphore_acquire(pool, permits) == DEADBOLT_ACQUIRED);
    raise(SIGKILL);
  }
  CHECK(waitpid(child, NULL, 0) == child);
  CHECK(deadbolt_counting_semaphore_try_acquire(pool, permits) == DEADBOLT_ACQUIRED);
  CHECK(deadbolt_counting_semaphore_release(pool, permits) == DEADBOLT_RELEASED);
  CHECK(deadbolt_counting_semaphore_release(pool, permits) == DEADBOLT_RELEASED);
}

int main(void) {
  alarm(60);
  struct deadbolt_region region = DEADBOLT_REGION_INIT;
  const struct deadbolt_region_options small = {.size = 4096, .members = 16};
  CHECK(deadbolt_region_create_anonymous(&region, "c", &small) == DEADBOLT_REGION_OPEN);
  struct board* board = deadbolt_region_data(&region);
  condition_variable(board);
  counting_semaphore(board);
  deadbolt_region_close(&region);
  puts("condition variables and semaphores of deadbolt/region.h do what they say");
  return 0;
}
