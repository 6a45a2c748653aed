// SPDX-License-Identifier: MIT
// owner() of region locks: which thread has the lock, as far as the caller can know.
#include <region_support.hpp>
#include <stepped_child.hpp>

#include <deadbolt/region.h>
#include <deadbolt/shared_mutex.hpp>

#include <csignal>
#include <cstdio>
#include <optional>
#include <thread>

namespace deadbolt::testing {
namespace {

struct board {
  deadbolt::mutex lock;
  deadbolt::shared_mutex shared_lock;
  gate held;
  gate go;
  owner_state seen;
};

std::string state(const lock_owner& owner) {
  return to_string(owner.state);
}

TEST(region_owner, owner_is_the_thread_that_locked) {
  region_of<board> shared;
  EXPECT_EQ(state(shared->lock.owner()), "not_held");
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(state(shared->lock.owner()), "alive");
  EXPECT_EQ(shared->lock.owner().pid, getpid());
  EXPECT_EQ(shared->lock.owner().tid, gettid());
  ASSERT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(state(shared->lock.owner()), "not_held");

  child_process child{[&] {
    std::thread locker{[&] {
      CHILD_EXPECT(name(shared->shared_lock.lock()) == "acquired");
      CHILD_EXPECT(shared->shared_lock.owner().tid == gettid());
      CHILD_EXPECT(shared->shared_lock.owner().pid == getpid());
      shared->held.open();
      shared->go.pass("the parent's look");
      CHILD_EXPECT(name(shared->shared_lock.unlock()) == "released");
    }};
    locker.join();
  }};
  shared->held.pass("the child");
  const lock_owner owner = shared->shared_lock.owner();
  EXPECT_EQ(state(owner), "alive");
  EXPECT_EQ(owner.pid, child.pid());
  EXPECT_NE(owner.tid, child.pid());
  shared->go.open();
  EXPECT_EQ(child.wait(), exited(0));
  EXPECT_EQ(state(shared->shared_lock.owner()), "not_held");
}

TEST(region_owner, dead_owner_is_reported_until_the_next_one_takes_over) {
  region_of<board> shared;
  EXPECT_EQ(run_in_child([&] {
              static_cast<void>(shared->lock.lock().status());
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(state(shared->lock.owner()), "dead");
  EXPECT_EQ(shared->lock.owner().pid, 0);
  ASSERT_EQ(name(shared->lock.lock()), "owner_died");
  EXPECT_EQ(shared->lock.owner().tid, gettid());
  ASSERT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(state(shared->lock.owner()), "not_recoverable");
}

// The process ended, and the kernel marked nothing.
TEST(region_owner, unmarked_death_is_found) {
  region_of<board> shared;
  EXPECT_EQ(run_in_child([&] {
              static_cast<void>(shared->lock.lock().status());
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  const std::uint32_t slot = regions::slot_of(word_of(shared->lock));
  regions::member_slot& member = slot_at(shared.handle(), slot);
  // As if the walk had not come.
  regions::liveness_word(&member, member.kind)->store(member.tid | FUTEX_WAITERS);
  EXPECT_EQ(state(shared->lock.owner()), "dead");
}

TEST(region_owner, thread_that_detached_with_the_lock_is_no_owner_any_more) {
  region_of<board> shared;
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  ASSERT_TRUE(shared.handle().detach());
  EXPECT_EQ(state(shared->lock.owner()), "dead");
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
}

TEST(region_owner, lock_outside_of_any_region_has_no_known_owner) {
  const deadbolt::mutex lock;
  EXPECT_EQ(state(lock.owner()), "unknown");
}

TEST(region_owner, owner_of_another_namespace_has_no_number_here) {
  region_of<board> shared;
  const pid_t child = fork_into_pid_namespace();
  if (child == 0) {
    alarm(60);
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    CHILD_EXPECT(shared->lock.owner().tid == 1);
    shared->held.open();
    shared->go.pass("the parent's look");
    _exit(0);
  }
  if (child < 0) GTEST_SKIP() << "no new PID namespace: clone says errno " << errno;
  shared->held.pass("the child");
  EXPECT_EQ(state(shared->lock.owner()), "elsewhere");
  EXPECT_EQ(shared->lock.owner().tid, 0);
  shared->go.open();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(state(shared->lock.owner()), "dead");
}

// The owner unlocks and detaches, and lives on, at every seventh instruction of another process's
// look.
TEST(region_owner, live_owner_that_leaves_during_the_look_is_not_reported_dead) {
  region_of<board> shared;
  trail known;
  std::uint32_t alive = 0;
  std::uint32_t points = 0;
  for (bool within = true; within; points += 7) {
    ASSERT_EQ(name(shared->lock.lock()), "acquired");
    shared->seen = owner_state::unknown;
    std::optional<stepped_child> look;
    within = stop_after(
        look, known, points, [&] { static_cast<void>(shared->lock.owner()); },
        [&] { shared->seen = shared->lock.owner().state; });
    ASSERT_EQ(name(shared->lock.unlock()), "released");
    ASSERT_TRUE(shared.handle().detach());
    if (within) {
      ASSERT_EQ(ptrace(PTRACE_CONT, look->pid(), nullptr, nullptr), 0);
      ASSERT_EQ(next_stop(look->pid()), SIGSTOP);
    }
    const owner_state seen = shared->seen;
    ASSERT_TRUE(seen == owner_state::alive || seen == owner_state::not_held)
        << to_string(seen) << " after " << points << " instructions";
    if (seen == owner_state::alive) ++alive;
  }
  std::printf("the owner left at every seventh of %u instructions; %u looks saw it\n", points,
              alive);
  EXPECT_GT(alive, 0u);
  EXPECT_LT(alive, points / 7);
}

TEST(region_owner, c_functions_say_the_same) {
  region_of<board> shared;
  auto* lock = reinterpret_cast<deadbolt_mutex*>(&shared->lock);
  pid_t pid = 1;
  pid_t tid = 1;
  EXPECT_EQ(deadbolt_mutex_owner(lock, &pid, &tid), DEADBOLT_OWNER_NOT_HELD);
  EXPECT_EQ(pid, 0);
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(deadbolt_mutex_owner(lock, &pid, &tid), DEADBOLT_OWNER_ALIVE);
  EXPECT_EQ(pid, getpid());
  EXPECT_EQ(tid, gettid());
  EXPECT_EQ(deadbolt_mutex_owner(lock, nullptr, nullptr), DEADBOLT_OWNER_ALIVE);
  ASSERT_EQ(name(shared->lock.unlock()), "released");
  auto* shared_lock = reinterpret_cast<deadbolt_shared_mutex*>(&shared->shared_lock);
  EXPECT_EQ(deadbolt_shared_mutex_owner(shared_lock, &pid, &tid), DEADBOLT_OWNER_NOT_HELD);
  EXPECT_STREQ(deadbolt_owner_state_name(DEADBOLT_OWNER_ELSEWHERE), "elsewhere");
}

} // namespace
} // namespace deadbolt::testing
