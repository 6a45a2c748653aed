// SPDX-License-Identifier: MIT
// The bias of a mutex: when it is given, how another thread ends it, and what a death leaves. The
// stepped tests kill its holder at every instruction.
#include <region_support.hpp>
#include <stepped_child.hpp>

#include <algorithm>
#include <base/membarrier.hpp>
#include <csignal>
#include <optional>
#include <region/bias.hpp>
#include <thread>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;

struct board {
  deadbolt::mutex lock;
  std::uint64_t count;
  deadbolt::mutex others[64];
};

class region_bias : public ::testing::Test {
protected:
  region_of<board> shared{4};
  [[nodiscard]] std::uint64_t word() const { return word_of(board_.lock); }
  [[nodiscard]] bool biased() const { return regions::is_biased(word()); }
  // Behind the word, `waiting` and the spins.
  [[nodiscard]] std::uint8_t& revocations() const {
    return reinterpret_cast<std::uint8_t*>(const_cast<std::uint64_t*>(board_.lock.native_handle()) +
                                           1)[6];
  }
  board& board_ = *shared;

  void SetUp() override {
    if (base::barrier_everywhere() != 0) GTEST_SKIP() << "membarrier is refused here";
  }
};

void take_often(deadbolt::mutex& lock, std::uint32_t times = 4 * regions::takes_before_bias) {
  for (std::uint32_t i = 0; i < times; ++i) {
    CHILD_EXPECT(name(lock.lock()) == "acquired");
    CHILD_EXPECT(name(lock.unlock()) == "released");
  }
}

// So many takes that the bias is given after any number of revocations up to `revoked`.
void get_bias(deadbolt::mutex& lock, std::uint32_t revoked) {
  take_often(lock, 2 * regions::takes_before_bias << revoked);
}

TEST_F(region_bias, thread_that_takes_a_mutex_often_gets_its_bias) {
  CHILD_EXPECT(shared.handle().attach() == attach_status::attached);
  take_often(shared->lock, regions::takes_before_bias - 1);
  EXPECT_FALSE(biased());
  take_often(shared->lock, 2);
  ASSERT_TRUE(biased());
  const std::uint64_t before = word();
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(word(), before);
  EXPECT_EQ(name(shared->lock.lock()), "deadlock");
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  EXPECT_FALSE(shared->lock.mark_consistent());
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(name(shared->lock.unlock()), "not_owner");
  EXPECT_EQ(word(), before);
}

TEST_F(region_bias, other_thread_revokes_it) {
  get_bias(shared->lock, 0);
  ASSERT_TRUE(biased());
  std::thread{[&] {
    EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
    EXPECT_FALSE(biased());
    EXPECT_EQ(name(shared->lock.unlock()), "released");
  }}.join();
  EXPECT_EQ(revocations(), 1);
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_FALSE(biased());
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_bias, other_thread_waits_for_its_holder) {
  get_bias(shared->lock, 0);
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  ASSERT_TRUE(biased());
  std::thread{[&] {
    EXPECT_EQ(name(shared->lock.try_lock()), "busy");
    EXPECT_EQ(name(shared->lock.try_lock_for(1ms)), "timed_out");
  }}.join();
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  get_bias(shared->others[0], 0);
  EXPECT_EQ(name(shared->others[0].lock()), "acquired");
  const auto is_revoked = [&] { return (word_of(shared->others[0]) & regions::word_waiters) != 0; };
  ASSERT_FALSE(is_revoked());
  std::atomic<bool> has_it{false};
  std::thread other{[&] {
    EXPECT_EQ(name(shared->others[0].lock()), "acquired");
    has_it = true;
    EXPECT_EQ(name(shared->others[0].unlock()), "released");
  }};
  await("a waiter on the bias", is_revoked);
  EXPECT_FALSE(has_it);
  EXPECT_EQ(name(shared->others[0].unlock()), "released");
  other.join();
  EXPECT_TRUE(has_it);
}

TEST_F(region_bias, is_given_less_easily_after_each_revocation_and_in_the_end_not_at_all) {
  for (std::uint32_t i = 0; i < 3; ++i) {
    get_bias(shared->lock, i);
    ASSERT_TRUE(biased()) << i;
    std::thread{[&] { take_often(shared->lock, 1); }}.join();
    EXPECT_EQ(revocations(), i + 1);
    take_often(shared->lock, regions::takes_before_bias << i);
    EXPECT_FALSE(biased()) << i;
  }
  revocations() = regions::most_revocations;
  get_bias(shared->lock, 6);
  EXPECT_FALSE(biased());
}

// The mutexes share eight entries of the slot: one of an entry has the bias.
TEST_F(region_bias, many_mutexes_exclude_each_other_whoever_has_the_bias) {
  get_bias(shared->lock, 0);
  for (deadbolt::mutex& other : shared->others) {
    get_bias(other, 0);
    EXPECT_EQ(name(other.lock()), "acquired");
  }
  std::uint32_t with_bias = 0;
  for (deadbolt::mutex& other : shared->others) {
    if (regions::is_biased(word_of(other))) ++with_bias;
    EXPECT_EQ(run_in_child([&] { CHILD_EXPECT(name(other.try_lock()) == "busy"); }), exited(0));
  }
  EXPECT_GT(with_bias, 4u);
  for (deadbolt::mutex& other : shared->others) EXPECT_EQ(name(other.unlock()), "released");
  for (deadbolt::mutex& other : shared->others) {
    EXPECT_EQ(run_in_child([&] { take_often(other, 1); }), exited(0));
  }
}

TEST_F(region_bias, bias_of_a_member_that_left_is_no_hold) {
  EXPECT_EQ(run_in_child([&] {
              get_bias(shared->lock, 0);
              CHILD_EXPECT(shared.handle().detach());
            }),
            exited(0));
  ASSERT_TRUE(biased());
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(run_in_child([&] { get_bias(shared->lock, 0); }), exited(0));
  ASSERT_TRUE(biased());
  // Another member has the slot meanwhile.
  EXPECT_EQ(run_in_child([&] { take_often(shared->others[0], 1); }), exited(0));
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_bias, thread_that_detaches_or_dies_with_the_mutex_abandons_it) {
  for (const bool detaches : {true, false}) {
    EXPECT_EQ(run_in_child([&] {
                get_bias(shared->lock, 8);
                CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
                CHILD_EXPECT(regions::is_biased(word_of(shared->lock)));
                if (detaches) CHILD_EXPECT(shared.handle().detach());
                raise(SIGKILL);
              }),
              killed_by(SIGKILL));
    // More members than slots come and go: that one's slot is not reused.
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(run_in_child([&] { take_often(shared->others[0], 1); }), exited(0));
    }
    EXPECT_EQ(name(shared->lock.try_lock()), "owner_died");
    EXPECT_TRUE(shared->lock.mark_consistent());
    EXPECT_EQ(name(shared->lock.unlock()), "released");
    // Now it is.
    EXPECT_EQ(
        run_in_child([&] { CHILD_EXPECT(shared.handle().attach() == attach_status::attached); }),
        exited(0));
    EXPECT_LE(regions::region_at(shared.handle().data())->slots_used(), 3u);
  }
}

TEST_F(region_bias, member_that_reuses_a_slot_does_not_pass_for_the_dead_holder) {
  region_of<board> small{1};
  EXPECT_EQ(run_in_child([&] {
              get_bias(small->lock, 0);
              CHILD_EXPECT(name(small->lock.lock()) == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  // The only slot stays with the dead holder; no other thread can attach, and lock() says so.
  EXPECT_EQ(name(small->lock.lock()), "cannot_attach");
}

// A signal handler takes the mutex in the middle of anything that the thread does with it.
deadbolt::mutex* handled = nullptr;
std::atomic<std::uint32_t> taken_by_handler{0};
void handler(int) {
  lock_result result = handled->try_lock();
  if (result.status() != lock_status::acquired) return;
  ++taken_by_handler;
  CHILD_EXPECT(name(handled->unlock()) == "released");
}

TEST_F(region_bias, signal_handlers_take_it_between_any_two_instructions) {
  handled = &shared->lock;
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(SIGUSR1, &action, nullptr);
  get_bias(shared->lock, 0);
  const pthread_t self = pthread_self();
  std::atomic<bool> stop{false};
  std::thread sender{[&] {
    while (!stop) pthread_kill(self, SIGUSR1);
  }};
  for (int i = 0; i < 200'000; ++i) {
    ASSERT_EQ(name(shared->lock.lock()), "acquired");
    ASSERT_EQ(name(shared->lock.unlock()), "released");
  }
  stop = true;
  sender.join();
  EXPECT_GT(taken_by_handler, 0u);
}

// Two mutexes that share an entry: the handler gets the bias of its own between any two
// instructions of the thread's lock and unlock.
TEST_F(region_bias, signal_handlers_take_another_mutex_between_any_two_instructions) {
  const auto entry_of = [](const deadbolt::mutex& lock) {
    return regions::bias_entry(reinterpret_cast<std::uintptr_t>(&lock));
  };
  handled = std::find_if(std::begin(shared->others), std::end(shared->others),
                         [&](auto& other) { return entry_of(other) == entry_of(shared->lock); });
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(SIGUSR1, &action, nullptr);
  const pthread_t self = pthread_self();
  std::atomic<bool> stop{false};
  std::thread sender{[&] {
    while (!stop) {
      pthread_kill(self, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds{20});
    }
  }};
  taken_by_handler = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  while (std::chrono::steady_clock::now() < end && !HasFailure()) {
    for (int i = 0; i < 1000 && !HasFailure(); ++i) {
      EXPECT_EQ(name(shared->lock.lock()), "acquired");
      EXPECT_EQ(name(shared->lock.unlock()), "released");
    }
  }
  stop = true;
  sender.join();
  EXPECT_GT(taken_by_handler, 0u);
}

TEST_F(region_bias, threads_that_revoke_it_all_the_time_exclude_each_other) {
  constexpr std::uint32_t rounds = 20'000;
  const auto add = [&](std::uint32_t burst) {
    for (std::uint32_t i = 0; i < rounds; ++i) {
      CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
      ++shared->count;
      CHILD_EXPECT(name(shared->lock.unlock()) == "released");
      if (i % burst == 0) std::this_thread::yield();
    }
  };
  child_process first{[&] { add(500); }};
  child_process second{[&] { add(300); }};
  std::thread third{[&] { add(700); }};
  third.join();
  EXPECT_EQ(first.wait(), exited(0));
  EXPECT_EQ(second.wait(), exited(0));
  EXPECT_EQ(shared->count, 3 * rounds);
}

// ---- killed at every instruction ----

TEST_F(region_bias, lock_killed_anywhere_leaves_a_mutex_that_can_be_had) {
  std::uint32_t held = 0;
  const std::uint32_t points = kill_at_every_instruction(
      [&] {
        get_bias(shared->lock, 0);
        CHILD_EXPECT(biased());
      },
      [&] { static_cast<void>(shared->lock.lock().status()); }, [](const stepped_child&) {},
      [&](std::uint32_t instructions) {
        const std::string result = name(shared->lock.try_lock());
        EXPECT_TRUE(result == "acquired" || result == "owner_died")
            << result << ", killed after " << instructions;
        if (result == "owner_died") {
          ++held;
          EXPECT_TRUE(shared->lock.mark_consistent());
        }
        EXPECT_EQ(name(shared->lock.unlock()), "released");
        return !HasFailure();
      });
  std::printf("lock by bias: killed at each of %u instructions, held in %u\n", points, held);
  EXPECT_GT(held, 0u);
  EXPECT_LT(held, points);
}

// The memory becomes data in the moment in which the mutex is free: the biased word among it.
TEST_F(region_bias, unlock_killed_anywhere_spares_reused_memory) {
  for (const bool awaited : {false, true}) {
    std::optional<std::uint64_t> data;
    std::uint32_t reused = 0;
    const std::uint32_t points = kill_at_every_instruction(
        [&] {
          get_bias(shared->lock, 0);
          CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
          CHILD_EXPECT(biased());
          if (awaited) {
            // As a revoker leaves them before it sleeps.
            auto* word = const_cast<std::uint64_t*>(shared->lock.native_handle());
            __atomic_fetch_or(word, regions::word_waiters, __ATOMIC_RELAXED);
            for (auto& announcement : slot_at(shared.handle(), regions::slot_of(*word)).biases) {
              announcement.awaited = 1;
            }
          }
        },
        [&] { static_cast<void>(shared->lock.unlock()); },
        [&](const stepped_child& child) {
          auto* word = const_cast<std::uint64_t*>(shared->lock.native_handle());
          data.reset();
          const std::uint64_t seen = *word;
          if (shared->lock.try_lock().status() != lock_status::acquired) return;
          EXPECT_EQ(name(shared->lock.unlock()), "released");
          const auto tid = static_cast<std::uint64_t>(child.pid());
          const std::uint64_t values[] = {seen, tid | FUTEX_WAITERS, tid << 32 | tid,
                                          seen | regions::word_waiters, 1};
          data = values[reused % std::size(values)];
          ++reused;
          *word = *data;
        },
        [&](std::uint32_t instructions) {
          auto* word = const_cast<std::uint64_t*>(shared->lock.native_handle());
          if (data) {
            // A new member takes the dead one's slot, and must write nothing there either.
            EXPECT_EQ(run_in_child([&] { take_often(shared->others[0], 1); }), exited(0));
            EXPECT_EQ(*word, *data) << "killed after " << instructions;
            *word = 0;
          } else {
            EXPECT_EQ(name(shared->lock.lock()), "owner_died") << "killed after " << instructions;
            EXPECT_TRUE(shared->lock.mark_consistent());
            EXPECT_EQ(name(shared->lock.unlock()), "released");
          }
          revocations() = 0;
          return !HasFailure();
        });
    std::printf("unlock by bias%s: killed at each of %u instructions\n",
                awaited ? " with a revoker asleep" : "", points);
    EXPECT_GT(reused, 2u);
    EXPECT_LT(reused, points);
  }
}

// The revoker is another thread of this process, so that the killed holder's next owner is already
// there.
TEST_F(region_bias, sleeping_revoker_gets_the_mutex_wherever_its_holder_dies) {
  std::unique_ptr<child_process> revoker;
  const std::uint32_t points = kill_at_every_instruction(
      [&] {
        get_bias(shared->lock, 0);
        CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
        CHILD_EXPECT(biased());
      },
      [&] { static_cast<void>(shared->lock.unlock()); },
      [&](const stepped_child&) {
        revoker = std::make_unique<child_process>([&] { take_and_release(shared->lock); });
      },
      [&](std::uint32_t instructions) {
        EXPECT_EQ(revoker->wait(), exited(0)) << "killed after " << instructions;
        revocations() = 0;
        return !HasFailure();
      });
  std::printf("unlock by bias before a revoker: killed at each of %u instructions\n", points);
}

TEST_F(region_bias, revoker_killed_anywhere_leaves_a_mutex_that_can_be_had) {
  const std::uint32_t points = kill_at_every_instruction(
      [&] { CHILD_EXPECT(shared.handle().attach() == attach_status::attached); },
      [&] { static_cast<void>(shared->lock.lock().status()); }, [](const stepped_child&) {},
      [&](std::uint32_t instructions) {
        const std::string result = name(shared->lock.lock());
        EXPECT_TRUE(result == "acquired" || result == "owner_died")
            << result << ", killed after " << instructions;
        if (result == "owner_died") {
          EXPECT_TRUE(shared->lock.mark_consistent());
        }
        EXPECT_EQ(name(shared->lock.unlock()), "released");
        revocations() = 0;
        get_bias(shared->lock, 0);
        EXPECT_TRUE(biased());
        return !HasFailure();
      });
  std::printf("revocation: killed at each of %u instructions\n", points);
}

} // namespace
} // namespace deadbolt::testing
