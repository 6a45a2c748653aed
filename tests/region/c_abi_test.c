/* SPDX-License-Identifier: MIT */
/* Every function of deadbolt/region.h, from C11. Exit status 0: all as it should be. */
#define _GNU_SOURCE
#include <deadbolt/region.h>

#include "c_support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct board {
  struct deadbolt_mutex lock;
  struct deadbolt_shared_mutex readers;
  unsigned long counted;
};

static const struct deadbolt_region_options small = {.size = 4096, .members = 16, .mode = 0600};

static void files(const char* path) {
  struct deadbolt_region region = DEADBOLT_REGION_INIT;
  struct deadbolt_region again = DEADBOLT_REGION_INIT;
  CHECK(deadbolt_region_data(&region) == NULL && deadbolt_region_size(&region) == 0);
  CHECK(deadbolt_region_descriptor(&region) == -1 && deadbolt_region_members(&region) == 0);
  CHECK(deadbolt_region_attach(&region) == DEADBOLT_ATTACH_NOT_OPEN);
  CHECK(!deadbolt_region_detach(&region));
  CHECK(deadbolt_region_open(&region, path) == DEADBOLT_REGION_NOT_FOUND);
  CHECK(region.status == DEADBOLT_REGION_NOT_FOUND && region.mapping == NULL);
  CHECK(deadbolt_region_create(&region, "/no/such/folder/file", &small) ==
        DEADBOLT_REGION_SYSTEM_ERROR);
  CHECK(region.error == ENOENT);
  const struct deadbolt_region_options none = {.size = 0};
  CHECK(deadbolt_region_create(&region, path, &none) == DEADBOLT_REGION_INVALID_OPTIONS);
  CHECK(deadbolt_region_open_or_create(&region, path, &small) == DEADBOLT_REGION_OPEN);
  CHECK(deadbolt_region_create(&again, path, &small) == DEADBOLT_REGION_EXISTS);
  CHECK(deadbolt_region_open(&again, path) == DEADBOLT_REGION_OPEN);
  CHECK(deadbolt_region_data(&again) == deadbolt_region_data(&region));
  CHECK(deadbolt_region_size(&region) == 4096 && deadbolt_region_members(&region) == 16);
  CHECK(deadbolt_region_open_descriptor(&again, deadbolt_region_descriptor(&region)) ==
        DEADBOLT_REGION_OPEN);
  deadbolt_region_close(&again);
  CHECK(again.status == DEADBOLT_REGION_CLOSED);
  CHECK(deadbolt_region_attach(&region) == DEADBOLT_ATTACHED);
  CHECK(deadbolt_region_detach(&region));
  deadbolt_region_close(&region);
  deadbolt_region_close(&region); /* nothing */
  /* Without options of its own. */
  const struct deadbolt_region_options plain = {.size = 64};
  CHECK(deadbolt_region_create_anonymous(&region, "c", &plain) == DEADBOLT_REGION_OPEN);
  CHECK(deadbolt_region_members(&region) == 1024);
  deadbolt_region_close(&region);
  CHECK(strcmp(deadbolt_region_status_name(DEADBOLT_REGION_FORMER_BOOT), "former_boot") == 0);
  CHECK(strcmp(deadbolt_attach_status_name(DEADBOLT_ATTACH_TABLE_FULL), "table_full") == 0);
  CHECK(strcmp(deadbolt_lock_status_name(DEADBOLT_OWNER_DIED), "owner_died") == 0);
}

static void named_objects(struct deadbolt_region* region) {
  bool fresh = false;
  CHECK(deadbolt_region_find_or_begin_construct(region, "bad", 8, 3, DEADBOLT_OBJECT_OTHER,
                                                &fresh) == NULL);
  CHECK(deadbolt_region_find_or_begin_construct(region, "bad", 8, 0, DEADBOLT_OBJECT_OTHER,
                                                &fresh) == NULL);
  unsigned long* first = deadbolt_region_find_or_begin_construct(
      region, "number", sizeof *first, _Alignof(unsigned long), DEADBOLT_OBJECT_OTHER, &fresh);
  CHECK(first != NULL && fresh && *first == 0);
  *first = 7;
  deadbolt_region_end_construct(region, "number", false); /* it cannot be made after all */
  first = deadbolt_region_find_or_begin_construct(
      region, "number", sizeof *first, _Alignof(unsigned long), DEADBOLT_OBJECT_OTHER, &fresh);
  CHECK(first != NULL && fresh && *first == 0);
  *first = 8;
  deadbolt_region_end_construct(region, "number", true);
  const unsigned long* second = deadbolt_region_find_or_begin_construct(
      region, "number", sizeof *first, _Alignof(unsigned long), DEADBOLT_OBJECT_OTHER, &fresh);
  CHECK(second == first && !fresh && *second == 8);
  unsigned long* zeroed = deadbolt_region_find_or_zero(region, "zeroed", sizeof *zeroed, 8, 0);
  CHECK(zeroed != NULL && *zeroed == 0);
  *zeroed = 9;
  CHECK(deadbolt_region_find_or_zero(region, "zeroed", sizeof *zeroed, 8, 0) == zeroed);
  CHECK(*zeroed == 9);
  CHECK(deadbolt_region_find_or_zero(region, "zeroed", sizeof *zeroed, 3, 0) == NULL);
  CHECK(deadbolt_region_find(region, "number", sizeof *first, _Alignof(unsigned long),
                             DEADBOLT_OBJECT_OTHER) == first);
  CHECK(deadbolt_region_find(region, "none", 8, 8, DEADBOLT_OBJECT_OTHER) == NULL);
  CHECK(deadbolt_last_construct_status() == DEADBOLT_CONSTRUCT_NOT_FOUND);
  unsigned shown = 0;
  uint32_t position = 0;
  struct deadbolt_object_info info;
  while (deadbolt_region_next_object(region, &position, &info)) {
    ++shown;
    if (strcmp(info.name, "number") != 0) continue;
    CHECK(info.size == sizeof *first && info.kind == DEADBOLT_OBJECT_OTHER);
    CHECK((char*)deadbolt_region_data(region) + info.offset == (char*)first);
  }
  CHECK(shown == 3); /* and the board, and "zeroed" */
  CHECK(deadbolt_region_destroy(region, "number", sizeof *first, 8, DEADBOLT_OBJECT_MUTEX) ==
        DEADBOLT_DESTROY_OTHER_KIND);
  CHECK(deadbolt_region_destroy(region, "number", sizeof *first, 8, DEADBOLT_OBJECT_OTHER) ==
        DEADBOLT_DESTROYED);
  CHECK(deadbolt_region_destroy(region, "number", sizeof *first, 8, DEADBOLT_OBJECT_OTHER) ==
        DEADBOLT_DESTROY_NOT_FOUND);
  CHECK(strcmp(deadbolt_destroy_status_name(DEADBOLT_DESTROY_IN_USE), "in_use") == 0);
}

static void growth_and_reading(const char* path) {
  struct deadbolt_region region = DEADBOLT_REGION_INIT;
  struct deadbolt_read_only_region seen = DEADBOLT_READ_ONLY_REGION_INIT;
  const struct deadbolt_region_options options = {.size = 64, .members = 2, .largest = 65536};
  CHECK(deadbolt_read_only_region_open(&seen, path) == DEADBOLT_REGION_NOT_FOUND);
  CHECK(deadbolt_region_create(&region, path, &options) == DEADBOLT_REGION_OPEN);
  CHECK(deadbolt_region_largest_size(&region) == 65536 && deadbolt_region_size(&region) == 64);
  bool fresh = false;
  struct deadbolt_mutex* lock = deadbolt_region_find_or_begin_construct(
      &region, "lock", sizeof *lock, 8, DEADBOLT_OBJECT_MUTEX, &fresh);
  CHECK(lock != NULL && fresh);
  deadbolt_region_end_construct(&region, "lock", true);
  CHECK(deadbolt_read_only_region_open(&seen, path) == DEADBOLT_REGION_OPEN);
  CHECK(deadbolt_read_only_region_size(&seen) == 64);
  CHECK(deadbolt_region_grow(&region, 65537) == DEADBOLT_GROW_TOO_LARGE);
  CHECK(deadbolt_region_grow(&region, 40000) == DEADBOLT_GROWN);
  CHECK(strcmp(deadbolt_grow_status_name(DEADBOLT_GROW_TOO_LARGE), "too_large") == 0);
  CHECK(deadbolt_read_only_region_size(&seen) == 40000);
  ((char*)deadbolt_region_data(&region))[39999] = 'x';
  CHECK(((const char*)deadbolt_read_only_region_data(&seen))[39999] == 'x');
  CHECK(deadbolt_read_only_region_is_at(&seen, path));
  const struct deadbolt_mutex* read =
      deadbolt_read_only_region_find(&seen, "lock", sizeof *lock, 8, DEADBOLT_OBJECT_MUTEX);
  CHECK(read != NULL && read != lock);
  CHECK(deadbolt_mutex_lock((struct deadbolt_mutex*)read) == DEADBOLT_CANNOT_ATTACH);
  CHECK(deadbolt_last_attach_failure(NULL) == DEADBOLT_ATTACH_READ_ONLY);
  uint32_t position = 0;
  struct deadbolt_object_info info;
  CHECK(deadbolt_read_only_region_next_object(&seen, &position, &info));
  CHECK(strcmp(info.name, "lock") == 0 && info.kind == DEADBOLT_OBJECT_MUTEX);
  CHECK(!deadbolt_read_only_region_next_object(&seen, &position, &info));
  CHECK(deadbolt_read_only_region_open_descriptor(&seen, deadbolt_region_descriptor(&region)) ==
        DEADBOLT_REGION_OPEN);
  CHECK(deadbolt_read_only_region_close(&seen) && seen.mapping == NULL);
  CHECK(deadbolt_region_close(&region));
}

static void mutex(struct board* board) {
  struct deadbolt_mutex* lock = &board->lock;
  const struct timespec past = {0, 0};
  CHECK(deadbolt_mutex_unlock(lock) == DEADBOLT_NOT_OWNER);
  CHECK(deadbolt_mutex_lock(lock) == DEADBOLT_ACQUIRED);
  CHECK(deadbolt_mutex_lock(lock) == DEADBOLT_DEADLOCK);
  CHECK(!deadbolt_mutex_mark_consistent(lock));
  pid_t child = start();
  if (child == 0) {
    struct timespec soon = after_ms(CLOCK_MONOTONIC, 20);
    CHECK(deadbolt_mutex_try_lock(lock) == DEADBOLT_BUSY);
    CHECK(deadbolt_mutex_lock_until(lock, CLOCK_MONOTONIC, &soon) == DEADBOLT_TIMED_OUT);
    soon = after_ms(CLOCK_REALTIME, 20);
    CHECK(deadbolt_mutex_lock_until(lock, CLOCK_REALTIME, &soon) == DEADBOLT_TIMED_OUT);
    CHECK(deadbolt_mutex_lock_until(lock, CLOCK_REALTIME, &past) == DEADBOLT_TIMED_OUT);
    _exit(0);
  }
  expect_exit_0(child);
  CHECK(deadbolt_mutex_unlock(lock) == DEADBOLT_RELEASED);
  const struct timespec far = {.tv_sec = INT64_MAX, .tv_nsec = 0};
  CHECK(deadbolt_mutex_lock_until(lock, CLOCK_MONOTONIC, &far) == DEADBOLT_ACQUIRED);
  CHECK(deadbolt_mutex_unlock(lock) == DEADBOLT_RELEASED);

  child = start();
  if (child == 0) {
    CHECK(deadbolt_mutex_try_lock(lock) == DEADBOLT_ACQUIRED);
    raise(SIGKILL);
  }
  CHECK(waitpid(child, NULL, 0) == child);
  CHECK(deadbolt_mutex_lock(lock) == DEADBOLT_OWNER_DIED);
  CHECK(deadbolt_mutex_mark_consistent(lock));
  CHECK(deadbolt_mutex_unlock(lock) == DEADBOLT_RELEASED);

  child = start();
  if (child == 0) {
    const struct timespec now = {0, 0};
    freopen("/dev/null", "w", stderr);
    (void)!deadbolt_mutex_lock_until(lock, CLOCK_BOOTTIME, &now);
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void shared_mutex(struct board* board) {
  struct deadbolt_shared_mutex* lock = &board->readers;
  CHECK(deadbolt_shared_mutex_get_policy(lock) == DEADBOLT_WRITERS_FIRST);
  lock->policy = 77;
  CHECK(deadbolt_shared_mutex_get_policy(lock) == DEADBOLT_WRITERS_FIRST);
  deadbolt_shared_mutex_init(lock, (enum deadbolt_shared_mutex_policy)(256 + DEADBOLT_FAIR));
  CHECK(deadbolt_shared_mutex_get_policy(lock) == DEADBOLT_WRITERS_FIRST);
  CHECK(strcmp(deadbolt_shared_mutex_policy_name((enum deadbolt_shared_mutex_policy)256),
               "unknown") == 0);
  deadbolt_shared_mutex_init(lock, DEADBOLT_READERS_FIRST);
  CHECK(deadbolt_shared_mutex_get_policy(lock) == DEADBOLT_READERS_FIRST);
  CHECK(strcmp(deadbolt_shared_mutex_policy_name(DEADBOLT_FAIR), "fair") == 0);
  CHECK(deadbolt_shared_mutex_unlock(lock) == DEADBOLT_NOT_OWNER);
  CHECK(deadbolt_shared_mutex_unlock_shared(lock) == DEADBOLT_NOT_OWNER);
  CHECK(deadbolt_shared_mutex_lock_shared(lock) == DEADBOLT_ACQUIRED);
  pid_t child = start();
  if (child == 0) {
    const struct timespec soon = after_ms(CLOCK_MONOTONIC, 20);
    CHECK(deadbolt_shared_mutex_try_lock_shared(lock) == DEADBOLT_ACQUIRED);
    CHECK(deadbolt_shared_mutex_unlock_shared(lock) == DEADBOLT_RELEASED);
    CHECK(deadbolt_shared_mutex_try_lock(lock) == DEADBOLT_BUSY);
    CHECK(deadbolt_shared_mutex_lock_until(lock, CLOCK_MONOTONIC, &soon) == DEADBOLT_TIMED_OUT);
    _exit(0);
  }
  expect_exit_0(child);
  CHECK(deadbolt_shared_mutex_unlock_shared(lock) == DEADBOLT_RELEASED);
  CHECK(deadbolt_shared_mutex_lock(lock) == DEADBOLT_ACQUIRED);
  child = start();
  if (child == 0) {
    const struct timespec soon = after_ms(CLOCK_REALTIME, 20);
    CHECK(deadbolt_shared_mutex_lock_shared_until(lock, CLOCK_REALTIME, &soon) ==
          DEADBOLT_TIMED_OUT);
    _exit(0);
  }
  expect_exit_0(child);
  CHECK(deadbolt_shared_mutex_unlock(lock) == DEADBOLT_RELEASED);

  child = start();
  if (child == 0) {
    CHECK(deadbolt_shared_mutex_lock(lock) == DEADBOLT_ACQUIRED);
    raise(SIGKILL);
  }
  CHECK(waitpid(child, NULL, 0) == child);
  CHECK(deadbolt_shared_mutex_lock_shared(lock) == DEADBOLT_OWNER_DIED);
  CHECK(deadbolt_shared_mutex_mark_consistent(lock));
  CHECK(deadbolt_shared_mutex_unlock_shared(lock) == DEADBOLT_RELEASED);
}

static void exclusion(struct board* board) {
  enum { processes = 4, rounds = 2000 };
  pid_t all[processes];
  for (int i = 0; i < processes; ++i) {
    all[i] = start();
    if (all[i] != 0) continue;
    for (int round = 0; round < rounds; ++round) {
      CHECK(deadbolt_mutex_lock(&board->lock) == DEADBOLT_ACQUIRED);
      ++board->counted;
      CHECK(deadbolt_mutex_unlock(&board->lock) == DEADBOLT_RELEASED);
    }
    _exit(0);
  }
  for (int i = 0; i < processes; ++i) expect_exit_0(all[i]);
  CHECK(board->counted == 1ul * processes * rounds);
}

int main(void) {
  alarm(60);
  char path[64];
  snprintf(path, sizeof path, "/dev/shm/deadbolt-c-abi-%d", (int)getpid());
  files(path);
  CHECK(unlink(path) == 0);
  growth_and_reading(path);
  CHECK(unlink(path) == 0);

  struct deadbolt_region region = DEADBOLT_REGION_INIT;
  CHECK(deadbolt_region_create_anonymous(&region, "c", &small) == DEADBOLT_REGION_OPEN);
  struct board* board = deadbolt_region_find_or_zero(&region, "board", sizeof *board,
                                                     _Alignof(struct board), DEADBOLT_OBJECT_OTHER);
  CHECK(board != NULL);
  named_objects(&region);
  mutex(board);
  shared_mutex(board);
  exclusion(board);
  deadbolt_region_close(&region);
  puts("every function of deadbolt/region.h does what it says");
  return 0;
}
