// SPDX-License-Identifier: MIT
// robust_mutex: each result, and POSIX's rules for robust mutexes, clause by clause.
#include <deadbolt/robust_mutex.hpp>

#include <child_process.hpp>
#include <dead_owner.hpp>
#include <futex_thread.hpp>
#include <gate.hpp>
#include <print_results.hpp>
#include <shared_memory.hpp>

namespace deadbolt::testing {
namespace {

class robust_mutex_results : public ::testing::Test {
protected:
  void let_an_owner_die() { testing::let_an_owner_die(*mutex); }
  void make_not_recoverable() {
    let_an_owner_die();
    ASSERT_EQ(mutex->lock(), lock_status::owner_died);
    ASSERT_EQ(mutex->unlock(), unlock_status::released);
  }
  [[nodiscard]] std::uint32_t word() { return *mutex->native_handle(); }

  shared<robust_mutex> mutex;
};

TEST_F(robust_mutex_results, new_mutex_is_free) {
  EXPECT_EQ(mutex->owner(), 0);
  EXPECT_EQ(word(), 0U);
  EXPECT_EQ(mutex->unlock(), unlock_status::not_owner);
}

TEST_F(robust_mutex_results, lock_acquires_and_unlock_releases) {
  EXPECT_EQ(mutex->lock(), lock_status::acquired);
  EXPECT_EQ(mutex->owner(), gettid());
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
  EXPECT_EQ(mutex->owner(), 0);
  EXPECT_EQ(own_head()->list_op_pending, nullptr);
  EXPECT_TRUE(words_on_own_list().empty());
}

TEST_F(robust_mutex_results, relock_by_the_owner_is_a_deadlock_and_keeps_the_lock) {
  ASSERT_EQ(mutex->lock(), lock_status::acquired);
  EXPECT_EQ(mutex->lock(), lock_status::deadlock);
  EXPECT_EQ(mutex->try_lock_for(std::chrono::hours{1}), lock_status::deadlock);
  EXPECT_EQ(mutex->try_lock(), lock_status::busy);
  EXPECT_EQ(mutex->owner(), gettid());
  EXPECT_EQ(own_head()->list_op_pending, nullptr);
  EXPECT_EQ(words_on_own_list(), std::vector<const void*>{mutex->native_handle()});
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

TEST_F(robust_mutex_results, held_by_another_is_busy_or_times_out) {
  gate held;
  gate done;
  known_thread other{[&] {
    if (mutex->lock() != lock_status::acquired) return;
    held.open();
    done.pass("the main thread's tries");
    static_cast<void>(mutex->unlock());
  }};
  held.pass("the other thread's lock");
  EXPECT_EQ(mutex->owner(), other.tid());
  EXPECT_EQ(mutex->try_lock(), lock_status::busy);
  EXPECT_EQ(mutex->try_lock_for(std::chrono::milliseconds{1}), lock_status::timed_out);
  EXPECT_EQ(mutex->unlock(), unlock_status::not_owner);
  EXPECT_EQ(own_head()->list_op_pending, nullptr);
  EXPECT_TRUE(words_on_own_list().empty());
  done.open();
  EXPECT_EQ(mutex->lock(), lock_status::acquired);
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

TEST_F(robust_mutex_results, unlock_of_what_is_not_held_changes_nothing) {
  ASSERT_EQ(mutex->lock(), lock_status::acquired);
  known_thread other_thread{[&] { EXPECT_EQ(mutex->unlock(), unlock_status::not_owner); }};
  other_thread.join();
  EXPECT_EQ(mutex->owner(), gettid());
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
  EXPECT_EQ(mutex->unlock(), unlock_status::not_owner) << "double unlock";
  EXPECT_EQ(word(), 0U);
}

// POSIX: the next owner is told EOWNERDEAD, and holds the mutex.
TEST_F(robust_mutex_results, owner_death_is_told_to_the_next_owner_once) {
  let_an_owner_die();
  EXPECT_EQ(mutex->owner(), 0);
  ASSERT_EQ(mutex->lock(), lock_status::owner_died);
  EXPECT_EQ(mutex->owner(), gettid());
  EXPECT_TRUE(mutex->mark_consistent());
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
  EXPECT_EQ(mutex->lock(), lock_status::acquired);
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

TEST_F(robust_mutex_results, owner_death_is_told_by_every_way_of_locking) {
  let_an_owner_die();
  EXPECT_EQ(mutex->try_lock(), lock_status::owner_died);
  EXPECT_TRUE(mutex->mark_consistent());
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
  let_an_owner_die();
  EXPECT_EQ(mutex->try_lock_for(std::chrono::nanoseconds{0}), lock_status::owner_died);
  EXPECT_TRUE(mutex->mark_consistent());
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

// POSIX: a thread's end, not only a process's, is an owner's death.
TEST_F(robust_mutex_results, owner_death_of_a_thread_counts) {
  known_thread owner{[&] { EXPECT_EQ(mutex->lock(), lock_status::acquired); }};
  owner.join();
  await("the kernel to mark the mutex", [&] { return word() == FUTEX_OWNER_DIED; });
  EXPECT_EQ(mutex->lock(), lock_status::owner_died);
  EXPECT_TRUE(mutex->mark_consistent());
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

// POSIX: if an owner that was told EOWNERDEAD dies before it repairs, the next owner is told, too.
TEST_F(robust_mutex_results, owner_death_of_the_repairer_is_told_too) {
  let_an_owner_die();
  let_an_owner_die();
  EXPECT_EQ(mutex->lock(), lock_status::owner_died);
  EXPECT_TRUE(mutex->mark_consistent());
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

// POSIX: a mutex that is unlocked without pthread_mutex_consistent() stays ENOTRECOVERABLE.
TEST_F(robust_mutex_results, unlock_without_repair_is_not_recoverable_for_all) {
  make_not_recoverable();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(mutex->lock(), lock_status::not_recoverable);
    EXPECT_EQ(mutex->try_lock(), lock_status::not_recoverable);
    EXPECT_EQ(mutex->try_lock_for(std::chrono::seconds{1}), lock_status::not_recoverable);
    EXPECT_EQ(mutex->owner(), 0);
    EXPECT_EQ(mutex->unlock(), unlock_status::not_owner);
    EXPECT_FALSE(mutex->mark_consistent());
  }
  EXPECT_EQ(own_head()->list_op_pending, nullptr);
  EXPECT_TRUE(words_on_own_list().empty());
}

TEST_F(robust_mutex_results, not_recoverable_reaches_every_waiter) {
  let_an_owner_die();
  ASSERT_EQ(mutex->lock(), lock_status::owner_died);
  std::atomic<int> told = 0;
  const auto wait = [&] {
    if (mutex->lock() == lock_status::not_recoverable) ++told;
  };
  known_thread first{wait};
  known_thread second{wait};
  known_thread third{wait};
  for (const known_thread* waiter : {&first, &second, &third}) {
    waiter->await_sleeping_on(mutex->native_handle());
  }
  ASSERT_EQ(mutex->unlock(), unlock_status::released);
  await("the waiters to be told", [&] { return told == 3; });
}

TEST_F(robust_mutex_results, mark_consistent_is_for_an_owner_who_was_told) {
  EXPECT_FALSE(mutex->mark_consistent()) << "nobody holds it";
  ASSERT_EQ(mutex->lock(), lock_status::acquired);
  EXPECT_FALSE(mutex->mark_consistent()) << "nobody died";
  ASSERT_EQ(mutex->unlock(), unlock_status::released);
  let_an_owner_die();
  EXPECT_FALSE(mutex->mark_consistent()) << "not held yet";
  ASSERT_EQ(mutex->lock(), lock_status::owner_died);
  known_thread other_thread{[&] { EXPECT_FALSE(mutex->mark_consistent()); }};
  other_thread.join();
  EXPECT_TRUE(mutex->mark_consistent());
  EXPECT_FALSE(mutex->mark_consistent()) << "already done";
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

TEST_F(robust_mutex_results, waiter_inherits_from_a_killed_owner) {
  child_process owner{[this] {
    CHILD_EXPECT(mutex->lock() == lock_status::acquired);
    pause();
  }};
  await("the child's lock", [&] { return mutex->owner() == owner.pid(); });
  std::atomic<bool> got = false;
  known_thread waiter{[&] {
    got = mutex->lock() == lock_status::owner_died && mutex->mark_consistent() &&
          mutex->unlock() == unlock_status::released;
  }};
  waiter.await_sleeping_on(mutex->native_handle());
  owner.kill();
  waiter.join();
  EXPECT_TRUE(got);
  EXPECT_EQ(mutex->lock(), lock_status::acquired);
  EXPECT_EQ(mutex->unlock(), unlock_status::released);
}

// A word with only WAITERS set is free. Kernels with the robust unlock leave such words.
TEST_F(robust_mutex_results, free_word_with_waiters_is_taken_and_keeps_them) {
  for (const std::uint32_t flags :
       {std::uint32_t{FUTEX_WAITERS}, std::uint32_t{FUTEX_WAITERS | FUTEX_OWNER_DIED}}) {
    const bool died = (flags & FUTEX_OWNER_DIED) != 0;
    for (const bool by_try : {false, true}) {
      *const_cast<std::uint32_t*>(mutex->native_handle()) = flags;
      EXPECT_EQ(by_try ? mutex->try_lock().status() : mutex->lock().status(),
                died ? lock_status::owner_died : lock_status::acquired);
      EXPECT_EQ(word(), static_cast<std::uint32_t>(gettid()) | FUTEX_WAITERS);
      EXPECT_EQ(mutex->mark_consistent(), died);
      EXPECT_EQ(mutex->unlock(), unlock_status::released);
    }
  }
}

TEST_F(robust_mutex_results, counts_are_exact_under_contention_of_threads_and_processes) {
  struct counters {
    std::uint64_t plain = 0;
  };
  shared<counters> shared_counters;
  constexpr std::uint64_t rounds = 20'000;
  const auto work = [&] {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      if (mutex->lock() != lock_status::acquired) std::abort();
      ++shared_counters->plain;
      if (mutex->unlock() != unlock_status::released) std::abort();
    }
  };
  child_process first{work};
  child_process second{[&] {
    known_thread thread{work};
    work();
    thread.join();
  }};
  work();
  EXPECT_EQ(first.wait(), exited(0));
  EXPECT_EQ(second.wait(), exited(0));
  EXPECT_EQ(shared_counters->plain, 4 * rounds);
}

TEST_F(robust_mutex_results, names_are_those_of_the_enumerators) {
  EXPECT_STREQ(to_string(lock_status::acquired), "acquired");
  EXPECT_STREQ(to_string(lock_status::owner_died), "owner_died");
  EXPECT_STREQ(to_string(lock_status::not_recoverable), "not_recoverable");
  EXPECT_STREQ(to_string(lock_status::busy), "busy");
  EXPECT_STREQ(to_string(lock_status::timed_out), "timed_out");
  EXPECT_STREQ(to_string(lock_status::deadlock), "deadlock");
  EXPECT_STREQ(to_string(unlock_status::released), "released");
  EXPECT_STREQ(to_string(unlock_status::not_owner), "not_owner");
}

} // namespace
} // namespace deadbolt::testing
