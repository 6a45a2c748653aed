// SPDX-License-Identifier: MIT
// One process of a pair, with nothing but a libc.
//   member FILE create          makes the region
//   member FILE hold N          takes lock N, says so in the region, waits to be killed
//   member FILE exit N          takes lock N in a thread that ends with it
//   member FILE count N         adds to the counter N times under lock 0
//   member FILE expect N WORD   takes lock N; exit 0 if the result is WORD
//   member FILE total N         exit 0 if the counter is N
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

struct board {
  deadbolt::mutex lock[4];
  std::uint32_t held[4];
  volatile std::uint64_t counter;
};

struct work {
  board* shared;
  unsigned lock;
};

void* take(void* argument) {
  const auto* what = static_cast<work*>(argument);
  if (what->shared->lock[what->lock].lock().status() != deadbolt::lock_status::acquired) _exit(3);
  __atomic_store_n(&what->shared->held[what->lock], 1, __ATOMIC_RELEASE);
  return nullptr;
}

} // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  alarm(10);
  const char* file = arguments[1];
  const char* command = arguments[2];
  const unsigned number = count > 3 ? static_cast<unsigned>(strtoul(arguments[3], nullptr, 10)) : 0;
  deadbolt::region region =
      strcmp(command, "create") == 0
          ? deadbolt::region::create(file, {.size = sizeof(board), .members = 16})
          : deadbolt::region::open(file);
  if (!region) {
    fprintf(stderr, "%s: %s, error %d\n", file, to_string(region.status()), region.error());
    return 4;
  }
  auto* shared = region.at<board>(0);
  if (strcmp(command, "hold") == 0) {
    work what{shared, number % 4};
    take(&what);
    for (;;) pause();
  }
  if (strcmp(command, "exit") == 0) {
    work what{shared, number % 4};
    pthread_t thread;
    if (pthread_create(&thread, nullptr, take, &what) != 0) return 5;
    pthread_join(thread, nullptr);
    for (;;) pause();
  }
  if (strcmp(command, "await") == 0) {
    while (__atomic_load_n(&shared->held[number % 4], __ATOMIC_ACQUIRE) == 0) usleep(100);
    __atomic_store_n(&shared->held[number % 4], 0, __ATOMIC_RELAXED);
  }
  if (strcmp(command, "count") == 0) {
    for (unsigned i = 0; i < number; ++i) {
      if (shared->lock[0].lock().status() != deadbolt::lock_status::acquired) return 6;
      shared->counter = shared->counter + 1;
      if (shared->lock[0].unlock() != deadbolt::unlock_status::released) return 7;
    }
  }
  if (strcmp(command, "total") == 0) return shared->counter == number ? 0 : 1;
  if (strcmp(command, "expect") == 0) {
    const deadbolt::lock_status status = shared->lock[number % 4].lock().status();
    if (strcmp(to_string(status), arguments[4]) != 0) {
      fprintf(stderr, "lock %u: %s, not %s\n", number, to_string(status), arguments[4]);
      return 1;
    }
    if (status == deadbolt::lock_status::owner_died) shared->lock[number % 4].mark_consistent();
    if (shared->lock[number % 4].unlock() != deadbolt::unlock_status::released) return 7;
  }
  return 0;
}
