/* SPDX-License-Identifier: MIT */
/* A bank account in C: a process is killed half-way through a transfer, and the next owner of the
 * lock repairs it. Build it with
 *   cc transfer.c $(pkg-config --cflags --libs deadbolt) */
#define _GNU_SOURCE
#include <deadbolt/region.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct bank {
  struct deadbolt_mutex mutex;
  long from, to;
  long backup; /* `from` before the transfer; from + to is 0 between transfers */
};

static bool locked(struct bank* bank) {
  switch (deadbolt_mutex_lock(&bank->mutex)) {
  case DEADBOLT_ACQUIRED:
    return true;
  case DEADBOLT_OWNER_DIED:
    printf("the owner died half-way: from %ld, to %ld\n", bank->from, bank->to);
    bank->from = bank->backup;
    bank->to = -bank->backup;
    return deadbolt_mutex_mark_consistent(&bank->mutex);
  default:
    return false;
  }
}

int main(void) {
  struct deadbolt_region region = DEADBOLT_REGION_INIT;
  const struct deadbolt_region_options options = {.size = 4096};
  if (deadbolt_region_create_anonymous(&region, "bank", &options) != DEADBOLT_REGION_OPEN) {
    fprintf(stderr, "no region: %s\n", deadbolt_region_status_name(region.status));
    return 1;
  }
  struct bank* bank = deadbolt_region_data(&region); /* zero: nothing in it, and unlocked */

  const pid_t child = fork();
  if (child == 0) {
    if (!locked(bank)) return 1;
    bank->backup = bank->from;
    bank->from -= 100;
    kill(getpid(), SIGKILL); /* before bank->to += 100 */
  }
  waitpid(child, NULL, 0);

  if (!locked(bank)) return 1;
  printf("from %ld, to %ld\n", bank->from, bank->to);
  const bool whole = bank->from + bank->to == 0;
  deadbolt_mutex_unlock(&bank->mutex);
  deadbolt_region_close(&region);
  return whole ? 0 : 1;
}
