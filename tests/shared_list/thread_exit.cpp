// SPDX-License-Identifier: MIT
// A thread ends, in its libc's own way, with both kinds of lock held. musl walks
// the list itself in pthread_exit and takes each node for a pthread_mutex_t.
#include "support.hpp"

#include <new>

using namespace shared_list;

namespace {

constexpr int count = 4;
using four_locks = locks<count / 2>;

void* hold_all_and_exit(void* argument) {
  auto& all = *static_cast<four_locks*>(argument);
  for (int i = 0; i < count; ++i) CHECK(all.lock(i) == deadbolt::lock_status::acquired);
  CHECK(entries_owned() == count);
  pthread_exit(nullptr);
}

struct holder {
  four_locks& all;
  std::uint32_t held = 0;
  std::uint32_t leave = 0;
};

void* hold_until_told(void* argument) {
  auto& shared = *static_cast<holder*>(argument);
  for (int i = 0; i < count; ++i) CHECK(shared.all.lock(i) == deadbolt::lock_status::acquired);
  __atomic_store_n(&shared.held, 1, __ATOMIC_RELEASE);
  await(shared.leave, 1);
  pthread_exit(nullptr);
}

void expect_all_marked(four_locks& all) {
  for (int i = 0; i < count; ++i) {
    CHECK(all.lock(i) == deadbolt::lock_status::owner_died);
    all.mark_consistent(i);
    all.unlock(i);
  }
}

} // namespace

int main() {
  start_watchdog();
  auto& all = *new (map_shared(sizeof(four_locks))) four_locks;

  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, hold_all_and_exit, &all) == 0);
  CHECK(pthread_join(thread, nullptr) == 0);
  expect_all_marked(all);

  // With a sleeper in another process, for each lock.
  for (int i = 0; i < count; ++i) {
    holder shared{all};
    CHECK(pthread_create(&thread, nullptr, hold_until_told, &shared) == 0);
    await(shared.held, 1);
    const pid_t sleeper = start([&] {
      CHECK(all.lock(i) == deadbolt::lock_status::owner_died);
      all.mark_consistent(i);
      all.unlock(i);
    });
    await_asleep(sleeper);
    __atomic_store_n(&shared.leave, 1, __ATOMIC_RELEASE);
    CHECK(pthread_join(thread, nullptr) == 0);
    expect_exit(sleeper);
    for (int other = 0; other < count; ++other) {
      const deadbolt::lock_status status = all.lock(other);
      CHECK(status ==
            (other == i ? deadbolt::lock_status::acquired : deadbolt::lock_status::owner_died));
      if (other != i) all.mark_consistent(other);
      all.unlock(other);
    }
  }
  std::puts("thread exit marks both kinds");
  return 0;
}
