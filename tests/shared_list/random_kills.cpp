// SPDX-License-Identifier: MIT
// Processes that take and release both kinds of lock are killed at random: each time every lock can
// be had again. Two locks of each kind guard counters, which show a lock that is lost, or that two
// processes hold.
#include "support.hpp"

#include <new>

using namespace shared_list;

namespace {

constexpr int count = 4;

struct world {
  locks<count / 2> all;
  std::uint32_t inside[count]; // how many are in the critical section of lock i
  std::uint32_t rounds;        // how often the victim has been round
};

deadbolt::lock_status enter(world& shared, int i) {
  const deadbolt::lock_status status = shared.all.lock(i);
  if (status == deadbolt::lock_status::owner_died) {
    shared.inside[i] = 0;
    shared.all.mark_consistent(i);
  } else {
    CHECK(status == deadbolt::lock_status::acquired);
  }
  CHECK(++shared.inside[i] == 1);
  return status;
}

void leave(world& shared, int i) {
  --shared.inside[i];
  shared.all.unlock(i);
}

void go_round(world& shared, random_numbers random) {
  for (;;) {
    const int i = static_cast<int>(random.below(count));
    const int j = static_cast<int>(random.below(count));
    const int low = i < j ? i : j;
    const int high = i < j ? j : i;
    enter(shared, low);
    if (high != low) enter(shared, high);
    const bool low_first = random.below(2) == 0;
    leave(shared, low_first ? low : high);
    if (high != low) leave(shared, low_first ? high : low);
    __atomic_fetch_add(&shared.rounds, 1, __ATOMIC_RELEASE);
  }
}

} // namespace

int main(int argument_count, char** arguments) {
  constexpr int kills = 200;
  start_watchdog();
  random_numbers random{seed(argument_count, arguments)};
  auto& shared = *new (map_shared(sizeof(world))) world{};

  int owner_deaths = 0;
  for (int n = 0; n < kills; ++n) {
    __atomic_store_n(&shared.rounds, 0, __ATOMIC_RELEASE);
    const random_numbers first{random.below(1u << 30)};
    const random_numbers second{random.below(1u << 30)};
    const pid_t victim = start([&] { go_round(shared, first); });
    const pid_t rival = start([&] { go_round(shared, second); });
    await(shared.rounds, random.below(500));
    CHECK(kill(victim, SIGKILL) == 0);
    expect_killed(victim);
    const std::uint32_t now = __atomic_load_n(&shared.rounds, __ATOMIC_ACQUIRE);
    await(shared.rounds, now + 20); // the rival goes on
    CHECK(kill(rival, SIGKILL) == 0);
    expect_killed(rival);
    for (int i = 0; i < count; ++i) {
      if (enter(shared, i) == deadbolt::lock_status::owner_died) ++owner_deaths;
      leave(shared, i);
    }
  }
  std::printf("%d kills, %d of them with a lock held to the end\n", 2 * kills, owner_deaths);
  CHECK(owner_deaths > 0);
  return 0;
}
