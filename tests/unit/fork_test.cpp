// SPDX-License-Identifier: MIT
// A child owns nothing that its parent holds, whether the libc forked or a bare
// system call did, and what it does to locks of its own leaves the parent's list
// alone.
#include <deadbolt/robust_mutex.hpp>

#include <child_process.hpp>
#include <futex_thread.hpp>
#include <gate.hpp>
#include <print_results.hpp>
#include <robust_list_view.hpp>
#include <shared_memory.hpp>

#include <cstring>
#include <gtest/gtest.h>
#include <sched.h>

namespace deadbolt::testing {
namespace {

struct fork_world {
  robust_mutex first;
  robust_mutex second;
  robust_mutex childs;
  gate go;
};

pid_t fork_by_libc() {
  return fork();
}
pid_t fork_by_system_call() {
  return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

struct fork_way {
  const char* name;
  pid_t (*fork)();
};

class fork_child : public ::testing::TestWithParam<fork_way> {
protected:
  // Starts a child as child_process does, but by the fork call under test.
  template <class Body>
  pid_t start(Body&& body) {
    const pid_t child = GetParam().fork();
    if (child == 0) {
      alarm(2 * patience.count());
      body();
      _exit(0);
    }
    return child;
  }
  static ending wait(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? killed_by(WTERMSIG(status)) : exited(WEXITSTATUS(status));
  }
  void hold_two() {
    ASSERT_EQ(world->first.lock(), lock_status::acquired);
    ASSERT_EQ(world->second.lock(), lock_status::acquired);
  }
  void release_two() {
    EXPECT_EQ(world->first.unlock(), unlock_status::released);
    EXPECT_EQ(world->second.unlock(), unlock_status::released);
    EXPECT_TRUE(words_on_own_list().empty());
  }

  shared<fork_world> world;
};

TEST_P(fork_child, owns_nothing_of_its_parents) {
  hold_two();
  const auto list = words_on_own_list();
  const pid_t parent = gettid();
  const pid_t child = start([&] {
    CHILD_EXPECT(world->first.owner() == parent);
    CHILD_EXPECT(world->first.unlock() == unlock_status::not_owner);
    CHILD_EXPECT(!world->first.mark_consistent());
    CHILD_EXPECT(world->second.try_lock() == lock_status::busy);
    CHILD_EXPECT(world->second.try_lock_for(std::chrono::milliseconds{1}) ==
                 lock_status::timed_out);
  });
  EXPECT_EQ(wait(child), exited(0));
  EXPECT_EQ(world->first.owner(), parent);
  EXPECT_EQ(words_on_own_list(), list);
  release_two();
}

TEST_P(fork_child, locks_of_its_own_are_its_own_and_die_with_it) {
  hold_two();
  const auto list = words_on_own_list();
  const pid_t child = start([&] {
    CHILD_EXPECT(world->childs.lock() == lock_status::acquired);
    CHILD_EXPECT(world->childs.owner() == static_cast<pid_t>(syscall(SYS_gettid)));
    CHILD_EXPECT(words_on_own_list() == std::vector<const void*>{world->childs.native_handle()});
    CHILD_EXPECT(world->childs.unlock() == unlock_status::released);
    CHILD_EXPECT(words_on_own_list().empty());
    CHILD_EXPECT(world->childs.lock() == lock_status::acquired);
    syscall(SYS_kill, static_cast<pid_t>(syscall(SYS_getpid)), SIGKILL);
  });
  EXPECT_EQ(wait(child), killed_by(SIGKILL));
  EXPECT_EQ(words_on_own_list(), list);
  EXPECT_EQ(world->childs.lock(), lock_status::owner_died);
  EXPECT_TRUE(world->childs.mark_consistent());
  EXPECT_EQ(world->childs.unlock(), unlock_status::released);
  release_two();
}

// Before the child locks for the first time, the parent releases its locks and overwrites their
// memory: the links that the child inherited are then invalid.
TEST_P(fork_child, inherited_links_are_not_followed) {
  hold_two();
  const pid_t child = start([&] {
    world->go.pass("the parent's reuse");
    CHILD_EXPECT(world->childs.lock() == lock_status::acquired);
    CHILD_EXPECT(world->childs.unlock() == unlock_status::released);
    CHILD_EXPECT(own_head()->list.next == &own_head()->list);
  });
  release_two();
  std::memset(static_cast<void*>(&world->first), 0x5a, sizeof world->first);
  std::memset(static_cast<void*>(&world->second), 0x5a, sizeof world->second);
  world->go.open();
  EXPECT_EQ(wait(child), exited(0));
  for (std::size_t i = 0; i < sizeof(robust_mutex); ++i) {
    ASSERT_EQ(reinterpret_cast<unsigned char*>(&world->second)[i], 0x5a) << "byte " << i;
  }
}

TEST_P(fork_child, grandchildren_own_nothing_either) {
  hold_two();
  const pid_t child = start([&] {
    CHILD_EXPECT(world->childs.lock() == lock_status::acquired);
    const pid_t grandchild = GetParam().fork();
    if (grandchild == 0) {
      CHILD_EXPECT(world->childs.unlock() == unlock_status::not_owner);
      CHILD_EXPECT(world->first.unlock() == unlock_status::not_owner);
      CHILD_EXPECT(world->childs.try_lock() == lock_status::busy);
      _exit(7);
    }
    CHILD_EXPECT(wait(grandchild) == exited(7));
    CHILD_EXPECT(world->childs.unlock() == unlock_status::released);
  });
  EXPECT_EQ(wait(child), exited(0));
  release_two();
}

// Another thread of the child is the first to use a lock. The child's main thread must still notice
// that its own cached identity is the parent's.
TEST(fork, thread_that_forked_is_itself_though_another_thread_was_first) {
  shared<fork_world> world;
  ASSERT_EQ(world->first.lock(), lock_status::acquired);
  child_process child{[&] {
    known_thread other{[&] {
      CHILD_EXPECT(world->second.lock() == lock_status::acquired);
      CHILD_EXPECT(world->second.unlock() == unlock_status::released);
    }};
    other.join();
    CHILD_EXPECT(world->first.try_lock() == lock_status::busy);
    CHILD_EXPECT(world->first.unlock() == unlock_status::not_owner);
    CHILD_EXPECT(world->childs.lock() == lock_status::acquired);
    CHILD_EXPECT(world->childs.owner() == gettid());
    CHILD_EXPECT(words_on_own_list() == std::vector<const void*>{world->childs.native_handle()});
    raise(SIGKILL);
  }};
  EXPECT_EQ(child.wait(), killed_by(SIGKILL));
  EXPECT_EQ(world->childs.lock(), lock_status::owner_died);
  EXPECT_TRUE(world->childs.mark_consistent());
  EXPECT_EQ(world->childs.unlock(), unlock_status::released);
  EXPECT_EQ(world->first.unlock(), unlock_status::released);
}

INSTANTIATE_TEST_SUITE_P(ways, fork_child,
                         ::testing::Values(fork_way{"libc", fork_by_libc},
                                           fork_way{"system_call", fork_by_system_call}),
                         [](const auto& way) { return std::string{way.param.name}; });

} // namespace
} // namespace deadbolt::testing
