// SPDX-License-Identifier: MIT
// One process of a pair, with nothing but a libc. LOCK is mutex, shared_mutex, reader (the
// same one, held shared) or semaphore.
//   member FILE create              makes the region
//   member FILE hold LOCK           takes it, says so in the region, waits to be killed
//   member FILE exit LOCK           takes it in a thread that ends with it, then the same
//   member FILE await               until a member has said so
//   member FILE expect LOCK WORD    takes it (a reader: to write); exit 0 if the result is WORD
//   member FILE count LOCK N        adds to the counter N times with it
//   member FILE turns N PARITY      adds N times when it is its turn, by a condition variable
//   member FILE total N             exit 0 if the counter is N, and zeroes it
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/shared_mutex.hpp>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

using deadbolt::lock_status;
using deadbolt::unlock_status;

struct board {
  deadbolt::mutex mutex;
  deadbolt::shared_mutex shared;
  deadbolt::binary_semaphore permit;
  deadbolt::condition_variable turn;
  std::uint32_t held;
  volatile std::uint64_t counter;
};

enum class what { mutex, writer, reader, permit };

what lock_named(const char* name) {
  if (strcmp(name, "mutex") == 0) return what::mutex;
  if (strcmp(name, "shared_mutex") == 0) return what::writer;
  if (strcmp(name, "reader") == 0) return what::reader;
  if (strcmp(name, "semaphore") == 0) return what::permit;
  fprintf(stderr, "no lock is called %s\n", name);
  exit(2);
}

lock_status lock(board& on, what which) {
  switch (which) {
  case what::mutex:
    return on.mutex.lock().status();
  case what::writer:
    return on.shared.lock().status();
  case what::reader:
    return on.shared.lock_shared().status();
  case what::permit:
    return on.permit.acquire().status();
  }
  return lock_status::not_recoverable;
}

bool unlock(board& on, what which, bool told) {
  switch (which) {
  case what::mutex:
    if (told && !on.mutex.mark_consistent()) return false;
    return on.mutex.unlock() == unlock_status::released;
  case what::writer:
    if (told && !on.shared.mark_consistent()) return false;
    return on.shared.unlock() == unlock_status::released;
  case what::reader:
    return on.shared.unlock_shared() == unlock_status::released;
  case what::permit:
    return on.permit.release() == unlock_status::released;
  }
  return false;
}

struct work {
  board* on;
  what which;
};

void* take(void* argument) {
  const auto* with = static_cast<work*>(argument);
  if (lock(*with->on, with->which) != lock_status::acquired) _exit(3);
  __atomic_store_n(&with->on->held, 1, __ATOMIC_RELEASE);
  return nullptr;
}

int add_in_turn(board& on, unsigned number, unsigned parity) {
  for (unsigned i = 0; i < number; ++i) {
    if (on.mutex.lock().status() != lock_status::acquired) return 6;
    while (on.counter % 2 != parity) {
      if (on.turn.wait(on.mutex).status() != deadbolt::wait_status::awake) return 8;
    }
    on.counter = on.counter + 1;
    on.turn.notify_one();
    if (on.mutex.unlock() != unlock_status::released) return 7;
  }
  return 0;
}

unsigned number_of(const char* text) {
  return static_cast<unsigned>(strtoul(text, nullptr, 10));
}

} // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  alarm(200);
  const char* file = arguments[1];
  const char* command = arguments[2];
  deadbolt::region region =
      strcmp(command, "create") == 0
          ? deadbolt::region::create(file, {.size = sizeof(board), .members = 16})
          : deadbolt::region::open(file);
  if (!region) {
    fprintf(stderr, "%s: %s, error %d\n", file, to_string(region.status()), region.error());
    return 4;
  }
  board& on = *region.at<board>(0);
  if (strcmp(command, "create") == 0) return 0;
  if (strcmp(command, "await") == 0) {
    while (__atomic_load_n(&on.held, __ATOMIC_ACQUIRE) == 0) usleep(100);
    __atomic_store_n(&on.held, 0, __ATOMIC_RELAXED);
    return 0;
  }
  if (count < 4) return 2;
  if (strcmp(command, "total") == 0) {
    const bool right = on.counter == number_of(arguments[3]);
    on.counter = 0;
    return right ? 0 : 1;
  }
  if (strcmp(command, "turns") == 0 && count > 4)
    return add_in_turn(on, number_of(arguments[3]), number_of(arguments[4]));

  const what which = lock_named(arguments[3]);
  if (strcmp(command, "hold") == 0 || strcmp(command, "exit") == 0) {
    work with{&on, which};
    if (strcmp(command, "hold") == 0) {
      take(&with);
    } else {
      pthread_t thread;
      if (pthread_create(&thread, nullptr, take, &with) != 0) return 5;
      pthread_join(thread, nullptr);
    }
    for (;;) pause();
  }
  if (strcmp(command, "count") == 0 && count > 4) {
    for (unsigned i = number_of(arguments[4]); i > 0; --i) {
      if (lock(on, which) != lock_status::acquired) return 6;
      on.counter = on.counter + 1;
      if (!unlock(on, which, false)) return 7;
    }
    return 0;
  }
  if (strcmp(command, "expect") == 0 && count > 4) {
    const what wanted = which == what::reader ? what::writer : which;
    const lock_status status = lock(on, wanted);
    if (strcmp(to_string(status), arguments[4]) != 0) {
      fprintf(stderr, "%s: %s, not %s\n", arguments[3], to_string(status), arguments[4]);
      return 1;
    }
    return unlock(on, wanted, status == lock_status::owner_died) ? 0 : 7;
  }
  return 2;
}
