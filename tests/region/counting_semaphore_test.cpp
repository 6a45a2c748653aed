// SPDX-License-Identifier: MIT
// deadbolt::counting_semaphore: what each operation says, and what deaths leave.
#include <region_support.hpp>

#include <deadbolt/counting_semaphore.hpp>
#include <seccomp_filter.hpp>

#include <csignal>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

struct board {
  counting_semaphore<3> three;
  counting_semaphore<200> many;
  binary_semaphore one;
  std::atomic<std::uint32_t> holding;
  std::atomic<std::uint32_t> done;
  std::atomic<std::uint32_t> most;
  gate go;
};

template <std::ptrdiff_t Count>
std::uint64_t word_of(const counting_semaphore<Count>& semaphore, std::size_t permit) {
  return __atomic_load_n(semaphore.native_handle() + permit, __ATOMIC_ACQUIRE);
}
template <std::ptrdiff_t Count>
void await_waiters(const counting_semaphore<Count>& semaphore, std::size_t permit = 0) {
  await("a waiter's bit", [&] { return word_of(semaphore, permit) & regions::word_waiters; });
}
template <std::ptrdiff_t Count>
std::size_t held(const counting_semaphore<Count>& semaphore) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < Count; ++i) {
    const std::uint64_t word = word_of(semaphore, i);
    if (!regions::is_free(word) && !regions::is_not_recoverable(word)) ++count;
  }
  return count;
}

// A process that holds this many permits until it is killed.
struct holder : child_process {
  template <std::ptrdiff_t Count>
  holder(board& shared, counting_semaphore<Count>& semaphore, int permits)
      : child_process{[&, permits] {
          for (int i = 0; i < permits; ++i) CHILD_EXPECT(name(semaphore.acquire()) == "acquired");
          ++shared.holding;
          for (;;) pause();
        }} {
    await("the holder", [&] { return shared.holding > 0; });
    --shared.holding;
  }
};

class region_semaphore : public ::testing::Test {
protected:
  region_of<board> shared{32};
};

TEST_F(region_semaphore, zeroed_memory_has_all_its_permits) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(name(shared->three.acquire()), "acquired");
  EXPECT_EQ(name(shared->three.try_acquire()), "busy");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(name(shared->three.release()), "released");
  EXPECT_EQ(held(shared->three), 0u);
}

TEST_F(region_semaphore, constructor_makes_fewer_permits) {
  auto& semaphore = *new (&shared->three) counting_semaphore<3>{2};
  EXPECT_EQ(semaphore.max(), 3);
  EXPECT_EQ(name(semaphore.acquire()), "acquired");
  EXPECT_EQ(name(semaphore.acquire()), "acquired");
  EXPECT_EQ(name(semaphore.try_acquire()), "busy");
  EXPECT_EQ(name(semaphore.acquire()), "deadlock") << "all there are";
  EXPECT_EQ(name(semaphore.release()), "released");
  EXPECT_EQ(name(semaphore.release()), "released");
  EXPECT_EQ(name(semaphore.release()), "not_owner");
}

TEST_F(region_semaphore, holder_of_every_permit_is_told) {
  EXPECT_EQ(name(shared->one.acquire()), "acquired");
  EXPECT_EQ(name(shared->one.acquire()), "deadlock");
  EXPECT_EQ(name(shared->one.try_acquire()), "busy");
  EXPECT_EQ(name(shared->one.try_acquire_for(1ms)), "deadlock");
  EXPECT_EQ(name(shared->one.release()), "released");
}

TEST_F(region_semaphore, release_by_who_holds_none_is_not_owner) {
  EXPECT_EQ(name(shared->three.release()), "not_owner") << "no member yet";
  holder child{*shared, shared->three, 3};
  EXPECT_EQ(name(shared->three.try_acquire()), "busy");
  EXPECT_EQ(name(shared->three.release()), "not_owner");
  EXPECT_EQ(held(shared->three), 3u);
}

TEST_F(region_semaphore, times_on_every_clock_end) {
  holder child{*shared, shared->three, 3};
  const auto start = steady_clock::now();
  EXPECT_EQ(name(shared->three.try_acquire_for(20ms)), "timed_out");
  EXPECT_EQ(name(shared->three.try_acquire_until(steady_clock::now() + 20ms)), "timed_out");
  EXPECT_EQ(name(shared->three.try_acquire_until(system_clock::now() + 120ms)), "timed_out");
  EXPECT_GE(steady_clock::now() - start, 155ms);
  EXPECT_EQ(name(shared->three.try_acquire_for(-1s)), "timed_out");
  EXPECT_EQ(name(shared->three.try_acquire_until(system_clock::time_point::min())), "timed_out");
  EXPECT_EQ(name(shared->one.try_acquire_for(-1s)), "acquired");
}

TEST_F(region_semaphore, waiter_is_woken_by_the_release_of_any_permit) {
  holder child{*shared, shared->three, 2};
  EXPECT_EQ(name(shared->three.acquire()), "acquired");
  child_process waiter{[this] {
    CHILD_EXPECT(name(shared->three.acquire()) == "acquired");
    CHILD_EXPECT(name(shared->three.release()) == "released");
  }};
  for (std::size_t i = 0; i < 3; ++i) await_waiters(shared->three, i);
  EXPECT_EQ(name(shared->three.release()), "released");
  EXPECT_EQ(waiter.wait(), exited(0));
}

TEST_F(region_semaphore, killed_holders_permits_come_back_and_nobody_is_told) {
  {
    holder child{*shared, shared->three, 2};
    EXPECT_EQ(name(shared->three.acquire()), "acquired");
    EXPECT_EQ(name(shared->three.try_acquire()), "busy");
  } // killed
  EXPECT_EQ(name(shared->three.try_acquire()), "acquired");
  EXPECT_EQ(name(shared->three.acquire()), "acquired");
  EXPECT_EQ(name(shared->three.try_acquire()), "busy");
}

TEST_F(region_semaphore, sleepers_notice_the_death_of_any_holder) {
  holder a{*shared, shared->three, 1};
  holder b{*shared, shared->three, 1};
  holder c{*shared, shared->three, 1};
  holder* const holders[] = {&b, &c, &a};
  for (holder* victim : holders) {
    child_process waiter{[this] {
      CHILD_EXPECT(name(shared->three.acquire()) == "acquired");
      ++shared->done;
      for (;;) pause();
    }};
    const std::uint32_t before = shared->done;
    for (std::size_t i = 0; i < 3; ++i) await_waiters(shared->three, i);
    victim->kill();
    await("the waiter to have the dead one's permit", [&] { return shared->done == before + 1; });
    EXPECT_EQ(name(shared->three.try_acquire()), "busy");
    waiter.kill();
    EXPECT_EQ(waiter.wait(), killed_by(SIGKILL));
    EXPECT_EQ(name(shared->three.acquire()), "acquired") << "the waiter's own";
  }
}

TEST_F(region_semaphore, all_waiters_get_the_permits_of_one_dead_holder) {
  holder child{*shared, shared->three, 3};
  const auto wait = [this] {
    CHILD_EXPECT(name(shared->three.acquire()) == "acquired");
    ++shared->done;
    for (;;) pause();
  };
  child_process a{wait};
  child_process b{wait};
  child_process c{wait};
  await("three waiters asleep", [&] {
    return live_members(shared.handle()) == 4 &&
           (word_of(shared->three, 2) & regions::word_waiters);
  });
  child.kill();
  await("three acquisitions", [&] { return shared->done == 3; });
}

// Two thirds of the permits are outside of what one sleep watches.
TEST_F(region_semaphore, more_permits_than_a_sleep_can_watch) {
  holder a{*shared, shared->many, 100};
  holder b{*shared, shared->many, 99};
  EXPECT_EQ(name(shared->many.acquire()), "acquired");
  EXPECT_EQ(name(shared->many.try_acquire()), "busy");
  child_process waiter{[this] {
    CHILD_EXPECT(name(shared->many.acquire()) == "acquired");
    CHILD_EXPECT(name(shared->many.release()) == "released");
  }};
  for (std::size_t i = 0; i < 200; ++i) {
    if (!(regions::slot_of(word_of(shared->many, i)) == 0)) await_waiters(shared->many, i);
  }
  EXPECT_EQ(name(shared->many.release()), "released");
  EXPECT_EQ(waiter.wait(), exited(0));
  EXPECT_EQ(name(shared->many.acquire()), "acquired");
  child_process heir{[this] {
    for (int i = 0; i < 99; ++i) CHILD_EXPECT(name(shared->many.acquire()) == "acquired");
  }};
  for (std::size_t i = 0; i < 200; ++i) await_waiters(shared->many, i);
  b.kill();
  EXPECT_EQ(heir.wait(), exited(0));
}

TEST_F(region_semaphore, waiter_without_futex_waitv_is_late_by_the_bound_at_most) {
  holder child{*shared, shared->three, 3};
  child_process waiter{[this] {
    CHILD_EXPECT(refuse_system_call(449, SECCOMP_RET_ERRNO | ENOSYS));
    CHILD_EXPECT(name(shared->three.acquire()) == "acquired");
  }};
  for (std::size_t i = 0; i < 3; ++i) await_waiters(shared->three, i);
  const auto start = steady_clock::now();
  child.kill();
  EXPECT_EQ(waiter.wait(), exited(0));
  EXPECT_LT(steady_clock::now() - start, 5s); // 100 ms, on a machine with other work
}

TEST_F(region_semaphore, never_more_holders_than_permits) {
  constexpr int rounds = 4'000;
  const auto work = [this] {
    for (int i = 0; i < rounds; ++i) {
      CHILD_EXPECT(name(shared->three.acquire()) == "acquired");
      const std::uint32_t now = ++shared->holding;
      CHILD_EXPECT(now <= 3);
      if (now > shared->most) shared->most = now;
      --shared->holding;
      CHILD_EXPECT(shared->three.release() == unlock_status::released);
    }
  };
  run_in_three_processes(work);
  EXPECT_EQ(held(shared->three), 0u);
  EXPECT_GE(shared->most, 1u);
}

// Words that name owners, slots and generations that never were: at worst another thread takes a
// permit that no thread held.
TEST_F(region_semaphore, any_words_in_shared_memory_are_borne) {
  ASSERT_EQ(name(shared.handle().attach()), "attached");
  auto* words = const_cast<std::uint64_t*>(shared->three.native_handle());
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (int round = 0; round < 2'000; ++round) {
    for (int i = 0; i < 3; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      __atomic_store_n(words + i, round % 4 == 0 ? state & 0x8000ffff : state, __ATOMIC_RELAXED);
    }
    const std::string result = name(shared->three.try_acquire());
    EXPECT_TRUE(result == "acquired" || result == "busy") << result;
    if (result == "acquired") {
      EXPECT_EQ(name(shared->three.release()), "released");
    }
  }
}

TEST_F(region_semaphore, semaphore_outside_every_region_is_a_clear_abort) {
  static binary_semaphore stray;
  EXPECT_EQ(run_in_child([] { static_cast<void>(stray.acquire().status()); }), killed_by(SIGABRT));
  EXPECT_EQ(name(stray.release()), "not_owner");
}

} // namespace
} // namespace deadbolt::testing
