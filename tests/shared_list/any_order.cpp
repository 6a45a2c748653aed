// SPDX-License-Identifier: MIT
// The libc's robust mutexes and ours, locked and unlocked by one thread in any
// order: after each step the list holds just what the thread owns.
#include "support.hpp"

#include <new>

using namespace shared_list;

int main(int argument_count, char** arguments) {
  constexpr int count = 6;
  constexpr int steps = 20'000;
  start_watchdog();
  random_numbers random{seed(argument_count, arguments)};
  auto& all = *new (map_shared(sizeof(locks<count / 2>))) locks<count / 2>;

  // Registers the list on every libc before it is first looked at.
  all.unlock((CHECK(all.lock(0) == deadbolt::lock_status::acquired), 0));

  bool held[count] = {};
  int held_count = 0;
  for (int step = 0; step < steps; ++step) {
    const int i = static_cast<int>(random.below(count));
    if (held[i]) {
      all.unlock(i);
      --held_count;
    } else {
      CHECK(all.lock(i) == deadbolt::lock_status::acquired);
      ++held_count;
    }
    held[i] = !held[i];
    CHECK(entries_owned() == held_count);
  }
  std::printf("%d steps\n", steps);
  return 0;
}
