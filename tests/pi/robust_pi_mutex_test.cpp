// SPDX-License-Identifier: MIT
// robust_pi_mutex: results, owner death, and the unlock sequence, with real waiters.
#include <deadbolt/robust_pi_mutex.hpp>

#include <deadbolt/robust_futex.h>
#include <deadbolt/with_recovery.hpp>

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <mutex>
#include <new>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace deadbolt;
using namespace std::chrono_literals;

struct board {
  robust_pi_mutex mutex;
  pthread_mutex_t pthread_mutex;
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::atomic<long> count{0};
  lock_status status{};
};

class robust_pi_mutex_test : public testing::Test {
protected:
  void SetUp() override {
    void* memory =
        mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    shared = new (memory) board;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    ASSERT_EQ(pthread_mutex_init(&shared->pthread_mutex, &attributes), 0);
    pthread_mutexattr_destroy(&attributes);
  }
  void TearDown() override { munmap(shared, sizeof(board)); }

  [[nodiscard]] std::uint32_t word() const {
    return __atomic_load_n(shared->mutex.native_handle(), __ATOMIC_RELAXED);
  }
  void await_waiters() const {
    while ((word() & FUTEX_WAITERS) == 0) std::this_thread::yield();
  }

  board* shared = nullptr;
};

// A child that cannot outlive this test; its status is what `body` returns.
template <class Body>
pid_t start(Body body) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(99);
  _exit(body());
}

int status_of(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

template <class Body>
void run(Body body) {
  EXPECT_EQ(status_of(start(body)), 0);
}

robust_list_head* head_of_this_thread() {
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  EXPECT_EQ(syscall(SYS_get_robust_list, 0, &head, &size), 0);
  return head;
}

TEST_F(robust_pi_mutex_test, lock_and_unlock_leave_nothing_pending) {
  EXPECT_TRUE(shared->mutex.lock() == lock_status::acquired);
  EXPECT_EQ(shared->mutex.owner(), gettid());
  EXPECT_EQ(head_of_this_thread()->list_op_pending, nullptr);
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
  EXPECT_EQ(word(), 0u);
  EXPECT_EQ(head_of_this_thread()->list_op_pending, nullptr);
  EXPECT_EQ(head_of_this_thread()->list.next, &head_of_this_thread()->list);
}

TEST_F(robust_pi_mutex_test, contended_unlock_hands_on_and_leaves_nothing_pending) {
  ASSERT_TRUE(shared->mutex.lock() == lock_status::acquired);
  const pid_t waiter = start([this] {
    if (shared->mutex.lock() != lock_status::acquired) return 1;
    return shared->mutex.unlock() == unlock_status::released ? 0 : 2;
  });
  await_waiters();
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
  EXPECT_EQ(head_of_this_thread()->list_op_pending, nullptr);
  EXPECT_EQ(status_of(waiter), 0);
}

TEST_F(robust_pi_mutex_test, relock_is_a_deadlock_and_try_lock_is_busy) {
  ASSERT_TRUE(shared->mutex.lock() == lock_status::acquired);
  EXPECT_TRUE(shared->mutex.lock() == lock_status::deadlock);
  EXPECT_TRUE(shared->mutex.try_lock() == lock_status::busy);
  EXPECT_EQ(head_of_this_thread()->list_op_pending, nullptr);
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::not_owner);
}

TEST_F(robust_pi_mutex_test, timed_lock_gives_up_on_both_clocks) {
  ASSERT_TRUE(shared->mutex.lock() == lock_status::acquired);
  run([this] {
    const auto begin = std::chrono::steady_clock::now();
    if (shared->mutex.try_lock_for(20ms) != lock_status::timed_out) return 1;
    if (std::chrono::steady_clock::now() - begin < 20ms) return 2;
    if (shared->mutex.try_lock_until(std::chrono::system_clock::now() + 20ms) !=
        lock_status::timed_out) {
      return 3;
    }
    if (std::chrono::steady_clock::now() - begin < 40ms) return 4;
    if (shared->mutex.try_lock_for(-1s) != lock_status::timed_out) return 5;
    if (shared->mutex.try_lock_until(std::chrono::system_clock::time_point{}) !=
        lock_status::timed_out) {
      return 6;
    }
    return head_of_this_thread()->list_op_pending == nullptr ? 0 : 7;
  });
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
  EXPECT_TRUE(shared->mutex.try_lock_for(std::chrono::hours::max()) == lock_status::acquired);
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
}

TEST_F(robust_pi_mutex_test, next_owner_of_a_dead_owner_is_told_and_may_repair) {
  run([this] { return shared->mutex.lock() == lock_status::acquired ? 0 : 1; });
  EXPECT_EQ(word(), std::uint32_t{FUTEX_OWNER_DIED});
  EXPECT_FALSE(shared->mutex.mark_consistent()); // not held
  EXPECT_TRUE(shared->mutex.lock() == lock_status::owner_died);
  EXPECT_TRUE(shared->mutex.mark_consistent());
  EXPECT_FALSE(shared->mutex.mark_consistent()); // nothing to mark any more
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
  EXPECT_TRUE(shared->mutex.try_lock() == lock_status::acquired);
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
}

TEST_F(robust_pi_mutex_test, try_lock_takes_over_from_a_dead_owner) {
  run([this] { return shared->mutex.lock() == lock_status::acquired ? 0 : 1; });
  EXPECT_TRUE(shared->mutex.try_lock() == lock_status::owner_died);
  EXPECT_TRUE(shared->mutex.mark_consistent());
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
}

TEST_F(robust_pi_mutex_test, unlock_without_repair_is_not_recoverable_for_everyone) {
  run([this] { return shared->mutex.lock() == lock_status::acquired ? 0 : 1; });
  ASSERT_TRUE(shared->mutex.lock() == lock_status::owner_died);
  std::vector<pid_t> waiters;
  waiters.reserve(3);
  for (int i = 0; i < 3; ++i) {
    waiters.push_back(start([this] {
      ++shared->ready;
      return shared->mutex.lock() == lock_status::not_recoverable ? 0 : 1;
    }));
  }
  while (shared->ready != 3) std::this_thread::yield();
  await_waiters();
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
  for (const pid_t waiter : waiters) EXPECT_EQ(status_of(waiter), 0);
  EXPECT_TRUE(shared->mutex.try_lock() == lock_status::not_recoverable);
}

TEST_F(robust_pi_mutex_test, waiting_in_the_kernel_when_the_owner_dies_is_told) {
  const pid_t owner = start([this] {
    if (shared->mutex.lock() != lock_status::acquired) return 1;
    shared->ready = 1;
    for (;;) pause();
  });
  while (shared->ready != 1) std::this_thread::yield();
  const pid_t waiter = start([this] {
    if (shared->mutex.lock() != lock_status::owner_died) return 1;
    if (!shared->mutex.mark_consistent()) return 2;
    return shared->mutex.unlock() == unlock_status::released ? 0 : 3;
  });
  await_waiters();
  kill(owner, SIGKILL);
  EXPECT_EQ(status_of(waiter), 0);
  status_of(owner);
  EXPECT_TRUE(shared->mutex.lock() == lock_status::acquired);
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
}

TEST_F(robust_pi_mutex_test, excludes_processes_and_threads) {
  constexpr int rounds = 2000;
  std::vector<pid_t> children;
  children.reserve(4);
  for (int i = 0; i < 4; ++i) {
    children.push_back(start([this] {
      for (int round = 0; round < rounds; ++round) {
        if (shared->mutex.lock() != lock_status::acquired) return 1;
        const long seen = shared->count.load(std::memory_order_relaxed);
        shared->count.store(seen + 1, std::memory_order_relaxed);
        shared->mutex.unlock();
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(shared->count, 4 * rounds);
}

TEST_F(robust_pi_mutex_test, lives_beside_pthread_pi_mutexes_of_the_same_thread) {
  run([this] {
    robust_pi_mutex more[2];
    for (robust_pi_mutex& mutex : more) {
      if (mutex.lock() != lock_status::acquired) return 1;
      if (pthread_mutex_lock(&shared->pthread_mutex) != 0) return 2;
      if (pthread_mutex_unlock(&shared->pthread_mutex) != 0) return 3;
    }
    more[0].unlock();
    if (pthread_mutex_lock(&shared->pthread_mutex) != 0) return 4;
    more[1].unlock();
    if (shared->mutex.lock() != lock_status::acquired) return 5;
    return 0; // dies with both held
  });
  EXPECT_EQ(pthread_mutex_lock(&shared->pthread_mutex), EOWNERDEAD);
  EXPECT_TRUE(shared->mutex.lock() == lock_status::owner_died);
  EXPECT_EQ(pthread_mutex_consistent(&shared->pthread_mutex), 0);
  EXPECT_EQ(pthread_mutex_unlock(&shared->pthread_mutex), 0);
  EXPECT_TRUE(shared->mutex.mark_consistent());
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
}

TEST_F(robust_pi_mutex_test, child_of_fork_owns_nothing) {
  ASSERT_TRUE(shared->mutex.lock() == lock_status::acquired);
  run([this] {
    if (shared->mutex.unlock() != unlock_status::not_owner) return 1;
    return shared->mutex.try_lock() == lock_status::busy ? 0 : 2;
  });
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
}

TEST_F(robust_pi_mutex_test, with_recovery_fits_scoped_lock) {
  run([this] { return shared->mutex.lock() == lock_status::acquired ? 0 : 1; });
  int repairs = 0;
  with_recovery guarded{shared->mutex, [&] {
                          ++repairs;
                          return true;
                        }};
  {
    const std::scoped_lock hold{guarded};
    EXPECT_EQ(shared->mutex.owner(), gettid());
  }
  EXPECT_EQ(repairs, 1);
  EXPECT_EQ(word(), 0u);
}

// The caller's own TID: where the kernel unlocks, it takes no other.
TEST_F(robust_pi_mutex_test, try_unlock_says_what_it_saw) {
  const auto tid = static_cast<std::uint32_t>(gettid());
  std::uint32_t futex_word = tid;
  robust_list_head head{};
  head.list_op_pending = &head.list;
  std::uint32_t expected = tid + 1;
  EXPECT_EQ(robust_pi_futex_try_unlock(&futex_word, &expected, &head), 0);
  EXPECT_EQ(expected, tid);
  EXPECT_EQ(futex_word, tid);
  EXPECT_NE(head.list_op_pending, nullptr); // nothing is cleared on a failure
  EXPECT_NE(robust_pi_futex_try_unlock(&futex_word, &expected, &head), 0);
  EXPECT_EQ(futex_word, 0u);
  EXPECT_EQ(head.list_op_pending, nullptr);
}

// A word with WAITERS whose owner is not the caller: the kernel refuses, and the
// caller's own FUTEX_UNLOCK_PI is to hear why.
TEST_F(robust_pi_mutex_test, try_unlock_of_another_owners_contended_word_fails) {
  std::uint32_t futex_word = 5 | FUTEX_WAITERS;
  robust_list_head head{};
  head.list_op_pending = &head.list;
  std::uint32_t expected = 5;
  EXPECT_EQ(robust_pi_futex_try_unlock(&futex_word, &expected, &head), 0);
  EXPECT_NE(expected & FUTEX_WAITERS, 0u);
  EXPECT_EQ(futex_word, 5 | FUTEX_WAITERS);
  EXPECT_NE(head.list_op_pending, nullptr);
}

using robust_pi_mutex_death_test = robust_pi_mutex_test;

TEST_F(robust_pi_mutex_death_test, dropped_owner_death_ends_the_process) {
  run([this] { return shared->mutex.lock() == lock_status::acquired ? 0 : 1; });
  EXPECT_DEATH(static_cast<void>(shared->mutex.lock()),
               "last owner of the lock at 0x[0-9a-f]+ died");
  EXPECT_TRUE(shared->mutex.lock() == lock_status::owner_died);
  EXPECT_TRUE(shared->mutex.mark_consistent());
  EXPECT_EQ(shared->mutex.unlock(), unlock_status::released);
}

} // namespace
