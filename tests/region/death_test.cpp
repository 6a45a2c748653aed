// SPDX-License-Identifier: MIT
// Owners that die with many locks, with many waiters, and in ways that the kernel does not
// mark.
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <region_support.hpp>

#include <futex_thread.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <numeric>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t many = 100'000;

struct lock_array {
  gate held;
  deadbolt::mutex locks[many];
};

TEST(region_death, one_thread_holds_100000_locks_and_each_is_recovered) {
  region_of<lock_array> shared;
  child_process holder{[&] {
    for (deadbolt::mutex& lock : shared->locks) CHILD_EXPECT(name(lock.lock()) == "acquired");
    shared->held.open();
    for (;;) pause();
  }};
  shared->held.pass("100,000 locks");
  EXPECT_EQ(name(shared->locks[many - 1].try_lock()), "busy");
  holder.kill();
  EXPECT_EQ(holder.wait(), killed_by(SIGKILL));
  for (deadbolt::mutex& lock : shared->locks) {
    ASSERT_EQ(lock.lock().status(), lock_status::owner_died);
    ASSERT_TRUE(lock.mark_consistent());
    ASSERT_EQ(lock.unlock(), unlock_status::released);
  }
}

// The holder's list has one node, however many locks it holds.
TEST(region_death, robust_list_does_not_grow_with_the_locks_held) {
  region_of<lock_array> shared;
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->locks[0].lock()) == "acquired");
              const std::size_t before = words_on_own_list().size();
              for (std::size_t i = 1; i < 5'000; ++i) {
                CHILD_EXPECT(name(shared->locks[i].lock()) == "acquired");
              }
              CHILD_EXPECT(before == 1 && words_on_own_list().size() == 1);
            }),
            exited(0));
}

struct crowd {
  static constexpr std::size_t locks = 8;
  gate held;
  deadbolt::mutex lock[locks];
  std::atomic<std::int64_t> slowest;
  std::atomic<std::int64_t> killed_at;
};

// One wake from the kernel, sleepers on eight locks: each passes it on.
TEST(region_death, death_wakes_the_waiters_of_every_lock_at_once) {
  constexpr int rounds = 10;
  std::vector<std::int64_t> latencies;
  for (int round = 0; round < rounds; ++round) {
    region_of<crowd> shared{32};
    child_process holder{[&] {
      for (deadbolt::mutex& lock : shared->lock) CHILD_EXPECT(name(lock.lock()) == "acquired");
      shared->held.open();
      for (;;) pause();
    }};
    shared->held.pass("the holder");
    std::vector<std::unique_ptr<child_process>> waiters;
    waiters.reserve(std::size(shared->lock));
    for (deadbolt::mutex& lock : shared->lock) {
      waiters.push_back(std::make_unique<child_process>([&] {
        CHILD_EXPECT(name(lock.lock()) == "owner_died");
        const std::int64_t late =
            steady_clock::now().time_since_epoch().count() - shared->killed_at.load();
        std::int64_t slowest = shared->slowest.load();
        while (late > slowest && !shared->slowest.compare_exchange_weak(slowest, late)) {
        }
      }));
    }
    for (const deadbolt::mutex& lock : shared->lock) await_waiters(lock);
    shared->killed_at = steady_clock::now().time_since_epoch().count();
    holder.kill();
    for (const auto& waiter : waiters) EXPECT_EQ(waiter->wait(), exited(0));
    latencies.push_back(shared->slowest.load());
  }
  std::sort(latencies.begin(), latencies.end());
  std::printf("slowest of %zu waiters, median of %d rounds: %lld us; worst round %lld us\n",
              crowd::locks, rounds, static_cast<long long>(latencies[rounds / 2] / 1000),
              static_cast<long long>(latencies.back() / 1000));
  // Were the wake not passed on, seven of eight would sleep to their bound.
  EXPECT_LT(latencies[rounds / 2], 50'000'000);
}

struct pair_board {
  deadbolt::mutex lock;
  gate held;
  gate go;
  std::atomic<std::uint32_t> attached;
};

TEST(region_death, exit_of_a_thread_abandons_its_locks) {
  region_of<pair_board> shared;
  std::thread{[&] { EXPECT_EQ(name(shared->lock.lock()), "acquired"); }}.join();
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  EXPECT_TRUE(shared->lock.mark_consistent());
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST(region_death, detach_with_a_lock_held_wakes_its_waiter) {
  region_of<pair_board> shared;
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  child_process waiter{[&] { CHILD_EXPECT(name(shared->lock.lock()) == "owner_died"); }};
  await_waiters(shared->lock);
  EXPECT_TRUE(shared.handle().detach());
  EXPECT_EQ(waiter.wait(), exited(0));
}

[[noreturn]] void run_sleep() {
  const char* arguments[] = {"sleep", "1000", nullptr};
  execv("/bin/sleep", const_cast<char* const*>(arguments));
  _exit(96);
}

TEST(region_death, execve_by_the_leader_is_a_death) {
  region_of<pair_board> shared;
  child_process holder{[&] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    shared->held.open();
    shared->go.pass("the word to exec");
    run_sleep();
  }};
  shared->held.pass("the holder");
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  shared->go.open();
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
}

// The kernel marks nothing here: the second evidence of death decides.
TEST(region_death, execve_by_another_thread_is_found_out_within_the_bound) {
  region_of<pair_board> shared;
  child_process holder{[&] {
    std::thread{[&] {
      CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
      shared->held.open();
      shared->go.pass("the word to exec");
      run_sleep();
    }}.join();
  }};
  shared->held.pass("the holder");
  child_process waiter{[&] { CHILD_EXPECT(name(shared->lock.lock()) == "owner_died"); }};
  await_waiters(shared->lock);
  shared->go.open();
  EXPECT_EQ(waiter.wait(), exited(0));
  // Its slot can be taken over too, though its liveness word still looks alive.
  EXPECT_EQ(live_members(shared.handle()), 1u);
  std::vector<std::unique_ptr<child_process>> members;
  members.reserve(shared.handle().members());
  for (std::uint32_t i = 0; i < shared.handle().members(); ++i) {
    members.push_back(std::make_unique<child_process>([&] {
      CHILD_EXPECT(name(shared.handle().attach()) == "attached");
      ++shared->attached;
      for (;;) pause();
    }));
  }
  await("a full table", [&] { return shared->attached == shared.handle().members(); });
  EXPECT_EQ(name(shared.handle().attach()), "table_full");
}

// Every sleep ends before it shows that no thread wakes the waiter: by a short deadline, or by
// signals.
TEST(region_death, death_without_a_mark_is_found_out_by_short_and_by_interrupted_sleeps) {
  struct three_locks {
    deadbolt::mutex lock;
    deadbolt::shared_mutex shared;
    deadbolt::counting_semaphore<1> permit;
    gate held;
  };
  for (const bool by_signals : {false, true}) {
    region_of<three_locks> in;
    child_process holder{[&] {
      std::thread{[&] {
        CHILD_EXPECT(name(in->lock.lock()) == "acquired");
        CHILD_EXPECT(name(in->shared.lock_shared()) == "acquired");
        CHILD_EXPECT(name(in->permit.acquire()) == "acquired");
        in->held.open();
        run_sleep();
      }}.join();
    }};
    in->held.pass("the holder");
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    const pthread_t self = pthread_self();
    std::atomic<bool> stop{false};
    std::thread sender{[&] {
      while (by_signals && !stop) {
        pthread_kill(self, SIGUSR1);
        std::this_thread::sleep_for(10ms);
      }
    }};
    const auto time = by_signals ? std::chrono::milliseconds{1h} : 5ms;
    std::string result;
    await("the owner's death", [&] {
      result = name(in->lock.try_lock_for(time));
      return result != "timed_out";
    });
    EXPECT_EQ(result, "owner_died");
    EXPECT_EQ(name(in->lock.unlock()), "released");
    await("the reader's death", [&] {
      result = name(in->shared.try_lock_for(time));
      return result != "timed_out";
    });
    EXPECT_EQ(result, "acquired");
    EXPECT_EQ(name(in->shared.unlock()), "released");
    await("the holder's death", [&] {
      result = name(in->permit.try_acquire_for(time));
      return result != "timed_out";
    });
    EXPECT_EQ(result, "acquired");
    EXPECT_EQ(name(in->permit.release()), "released");
    stop = true;
    sender.join();
  }
}

TEST(region_death, kernel_marks_the_life_word_beside_pthread_robust_mutexes) {
  struct mixed {
    gate held;
    deadbolt::mutex lock;
    pthread_mutex_t robust[4];
  };
  region_of<mixed> shared;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  for (int i = 0; i < 4; ++i) pthread_mutex_init(shared->robust + i, &attributes);
  child_process holder{[&] {
    pthread_mutex_lock(&shared->robust[0]);
    pthread_mutex_lock(&shared->robust[1]);
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    pthread_mutex_lock(&shared->robust[2]);
    pthread_mutex_lock(&shared->robust[3]);
    pthread_mutex_unlock(&shared->robust[1]);
    pthread_mutex_unlock(&shared->robust[2]);
    pthread_mutex_lock(&shared->robust[1]);
    shared->held.open();
    for (;;) pause();
  }};
  shared->held.pass("the holder");
  holder.kill();
  EXPECT_EQ(holder.wait(), killed_by(SIGKILL));
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  for (const int index : {0, 1, 3}) {
    EXPECT_EQ(pthread_mutex_trylock(&shared->robust[index]), EOWNERDEAD) << index;
  }
  EXPECT_EQ(pthread_mutex_trylock(&shared->robust[2]), 0);
}

} // namespace
} // namespace deadbolt::testing
