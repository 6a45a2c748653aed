// SPDX-License-Identifier: MIT
// A process is killed that holds some of the libc's robust mutexes and some of ours: the next owner
// of each of these is told, and the next owner of a mutex that it did not hold is not. Every set of
// four locks is tried, taken in every rotation of their order.
#include "support.hpp"

#include <new>

using namespace shared_list;

namespace {

constexpr int count = 4;
using four_locks = locks<count / 2>;

// Takes all, gives back those not in `kept`, and dies.
void hold_and_die(four_locks& all, unsigned kept, int first) {
  for (int i = 0; i < count; ++i) {
    CHECK(all.lock((first + i) % count) == deadbolt::lock_status::acquired);
  }
  for (int i = 0; i < count; ++i) {
    if ((kept >> i & 1) == 0) all.unlock(i);
  }
  kill(getpid(), SIGKILL);
}

void expect_marked(four_locks& all, unsigned kept) {
  for (int i = 0; i < count; ++i) {
    const deadbolt::lock_status status = all.lock(i);
    if ((kept >> i & 1) == 0) {
      CHECK(status == deadbolt::lock_status::acquired);
    } else {
      CHECK(status == deadbolt::lock_status::owner_died);
      all.mark_consistent(i);
    }
    all.unlock(i);
  }
}

// Another process sleeps on lock i when its holder is killed.
void wake_sleeper(four_locks& all, int i) {
  auto& holding = *static_cast<std::uint32_t*>(map_shared(sizeof(std::uint32_t)));
  const pid_t holder = start([&] {
    CHECK(all.lock(i) == deadbolt::lock_status::acquired);
    __atomic_store_n(&holding, 1, __ATOMIC_RELEASE);
    for (;;) pause();
  });
  await(holding, 1);
  const pid_t sleeper = start([&] {
    CHECK(all.lock(i) == deadbolt::lock_status::owner_died);
    all.mark_consistent(i);
    all.unlock(i);
  });
  await_asleep(sleeper);
  CHECK(kill(holder, SIGKILL) == 0);
  expect_killed(holder);
  expect_exit(sleeper);
  munmap(&holding, sizeof holding);
}

} // namespace

int main() {
  start_watchdog();
  auto& all = *new (map_shared(sizeof(four_locks))) four_locks;
  int kills = 0;
  for (unsigned kept = 0; kept < 1u << count; ++kept) {
    for (int first = 0; first < count; ++first) {
      expect_killed(start([&] { hold_and_die(all, kept, first); }));
      expect_marked(all, kept);
      ++kills;
    }
  }
  for (int i = 0; i < count; ++i) {
    wake_sleeper(all, i);
    ++kills;
  }
  std::printf("%d kills\n", kills);
  return 0;
}
