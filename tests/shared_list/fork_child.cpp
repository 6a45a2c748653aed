// SPDX-License-Identifier: MIT
// A forked child owns nothing that its parent holds, and leaves its parent's list
// alone: what it locks itself is its own, and its death marks only that.
#include "support.hpp"

#include <new>

using namespace shared_list;

int main() {
  constexpr int count = 6;
  start_watchdog();
  auto& all = *new (map_shared(sizeof(locks<count / 2>))) locks<count / 2>;

  // The parent holds 0 to 3; the child uses 4 and 5 and dies with them.
  for (int i = 0; i < 4; ++i) CHECK(all.lock(i) == deadbolt::lock_status::acquired);
  const pid_t child = start([&] {
    CHECK(all.ours[0].unlock() == deadbolt::unlock_status::not_owner);
    CHECK(all.ours[1].try_lock().status() == deadbolt::lock_status::busy);
    // Ours first: robust_mutex must find out by itself that the list is inherited.
    CHECK(all.lock(5) == deadbolt::lock_status::acquired);
    CHECK(all.lock(4) == deadbolt::lock_status::acquired);
    CHECK(entries_owned() == 2);
    kill(getpid(), SIGKILL);
  });
  expect_killed(child);
  CHECK(entries_owned() == 4);

  CHECK(all.lock(4) == deadbolt::lock_status::owner_died);
  CHECK(all.lock(5) == deadbolt::lock_status::owner_died);
  all.mark_consistent(4);
  all.mark_consistent(5);
  CHECK(entries_owned() == 6);
  for (int i = 0; i < count; ++i) all.unlock(i);
  CHECK(entries_owned() == 0);
  std::puts("parent and child each have their own");
  return 0;
}
