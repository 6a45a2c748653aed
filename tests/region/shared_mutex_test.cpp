// SPDX-License-Identifier: MIT
// deadbolt::shared_mutex: what each operation says, between live threads and processes.
#include <region_support.hpp>
#include <shared_support.hpp>

#include <seccomp_filter.hpp>

#include <csignal>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

class region_shared_mutex : public ::testing::Test {
protected:
  region_of<shared_board> shared;

  child_process reader() { return reader_until_done(shared); }
  child_process writer() {
    return child_process{[this] {
      CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
      shared->held.open();
      shared->done.pass("the end of writing");
      CHILD_EXPECT(name(shared->lock.unlock()) == "released");
    }};
  }
};

TEST_F(region_shared_mutex, zeroed_memory_is_an_unlocked_one) {
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(word_of(shared->lock), 0u);
}

TEST_F(region_shared_mutex, readers_share_and_keep_writers_out) {
  child_process child = reader();
  shared->held.pass("the reader");
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(name(shared->lock.try_lock_shared()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  EXPECT_EQ(name(shared->lock.try_lock_for(10ms)), "timed_out");
  EXPECT_EQ(word_of(shared->lock), 0u) << "a writer that gave up left its word";
  shared->done.open();
  EXPECT_EQ(child.wait(), exited(0));
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_shared_mutex, writer_keeps_all_out) {
  child_process child = writer();
  shared->held.pass("the writer");
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  EXPECT_EQ(name(shared->lock.try_lock_shared()), "busy");
  EXPECT_EQ(name(shared->lock.try_lock_for(5ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_shared_for(5ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.unlock()), "not_owner");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "not_owner");
  shared->done.open();
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(child.wait(), exited(0));
}

TEST_F(region_shared_mutex, holder_is_told_of_its_own_hold_either_way) {
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  EXPECT_EQ(name(shared->lock.lock_shared()), "deadlock");
  EXPECT_EQ(name(shared->lock.lock()), "deadlock");
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  EXPECT_EQ(name(shared->lock.try_lock_shared()), "busy");
  EXPECT_EQ(name(shared->lock.unlock()), "not_owner") << "it only reads";
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "not_owner");
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(name(shared->lock.lock()), "deadlock");
  EXPECT_EQ(name(shared->lock.lock_shared()), "deadlock");
  EXPECT_EQ(name(shared->lock.try_lock_shared()), "busy");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "not_owner") << "it writes";
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

// A reader that asks again while a writer waits for it would wait for ever.
TEST_F(region_shared_mutex, second_hold_is_refused_while_a_writer_waits) {
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  child_process child = writer();
  await("the writer's word", [&] { return word_of(shared->lock) != 0; });
  EXPECT_EQ(name(shared->lock.lock_shared()), "deadlock");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  shared->held.pass("the writer");
  shared->done.open();
  EXPECT_EQ(child.wait(), exited(0));
}

TEST_F(region_shared_mutex, times_on_every_clock_end) {
  child_process child = writer();
  shared->held.pass("the writer");
  const auto start = steady_clock::now();
  EXPECT_EQ(name(shared->lock.try_lock_shared_until(steady_clock::now() + 20ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_shared_until(system_clock::now() + 20ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(steady_clock::now() + 20ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(system_clock::now() + 20ms)), "timed_out");
  EXPECT_GE(steady_clock::now() - start, 80ms);
  EXPECT_EQ(name(shared->lock.try_lock_shared_for(-1s)), "timed_out");
  shared->done.open();
  EXPECT_EQ(child.wait(), exited(0));
  EXPECT_EQ(name(shared->lock.try_lock_shared_for(-1s)), "acquired");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
}

TEST_F(region_shared_mutex, writer_that_waits_for_a_reader_gives_up_on_both_clocks) {
  child_process child = reader();
  shared->held.pass("the reader");
  const auto start = steady_clock::now();
  EXPECT_EQ(name(shared->lock.try_lock_until(steady_clock::now() + 20ms)), "timed_out");
  EXPECT_EQ(name(shared->lock.try_lock_until(system_clock::now() + 120ms)), "timed_out");
  EXPECT_GE(steady_clock::now() - start, 140ms);
  shared->done.open();
  EXPECT_EQ(child.wait(), exited(0));
}

TEST_F(region_shared_mutex, readers_do_not_overtake_a_writer_that_waits) {
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  child_process child = writer();
  await("the writer's word", [&] { return word_of(shared->lock) != 0; });
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.try_lock_shared()) == "busy");
              CHILD_EXPECT(name(shared->lock.try_lock_shared_for(20ms)) == "timed_out");
            }),
            exited(0));
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  shared->held.pass("the writer");
  shared->done.open();
  EXPECT_EQ(child.wait(), exited(0));
}

TEST_F(region_shared_mutex, failing_try_lock_does_not_stop_readers) {
  deadbolt::shared_mutex& lock = shared->lock;
  ASSERT_EQ(name(lock.lock_shared()), "acquired");
  std::atomic<int> busy{0};
  std::atomic<bool> ended{false};
  std::thread writer{[&] {
    for (int tries = 0; tries < 20'000; ++tries) busy += name(lock.try_lock()) == "busy";
    ended = true;
  }};
  // The word of a writer that waits for readers has an owner, and keeps new readers out.
  int stopped = 0;
  do {
    stopped += lock.owner().state != owner_state::not_held;
  } while (!ended);
  writer.join();
  EXPECT_EQ(busy, 20'000);
  EXPECT_EQ(stopped, 0);
  EXPECT_EQ(name(lock.unlock_shared()), "released");
}

TEST_F(region_shared_mutex, holds_have_a_limit_that_is_a_result) {
  region_of<many_locks> many;
  for (std::uint32_t i = 0; i < shared_mutex::most_shared_holds; ++i) {
    ASSERT_EQ(name(many->lock[i].lock_shared()), "acquired") << i;
  }
  deadbolt::shared_mutex& one_more = many->lock[shared_mutex::most_shared_holds];
  EXPECT_EQ(name(one_more.lock_shared()), "too_many_holds");
  EXPECT_EQ(name(one_more.try_lock_shared()), "too_many_holds");
  EXPECT_EQ(name(one_more.lock()), "acquired") << "exclusive holds have none";
  EXPECT_EQ(name(one_more.unlock()), "released");
  EXPECT_EQ(name(many->lock[7].unlock_shared()), "released");
  EXPECT_EQ(name(one_more.lock_shared()), "acquired");
  EXPECT_EQ(name(one_more.unlock_shared()), "released");
  for (std::uint32_t i = 0; i < shared_mutex::most_shared_holds; ++i) {
    EXPECT_EQ(name(many->lock[i].unlock_shared()), i == 7 ? "not_owner" : "released") << i;
  }
}

TEST_F(region_shared_mutex, standard_wrappers_fit) {
  {
    std::shared_lock hold{shared->lock};
    EXPECT_TRUE(hold.owns_lock());
    std::unique_lock other{shared->other, 10ms};
    EXPECT_TRUE(other.owns_lock());
    std::shared_lock late{shared->other, std::defer_lock};
    EXPECT_FALSE(late.try_lock());
  }
  std::scoped_lock both{shared->lock, shared->other};
  EXPECT_NE(word_of(shared->other), 0u);
}

TEST_F(region_shared_mutex, exclusion_holds_between_readers_and_writers_of_many_processes) {
  constexpr int rounds = 4'000;
  const auto process = [&](int first) {
    return std::make_unique<child_process>([&, first] {
      for (int i = first; i < rounds + first; ++i) {
        const bool writes = i % 3 == 0;
        if (writes) {
          CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
          shared->first = shared->first + 1;
          if (i % 64 == 0) sched_yield();
          shared->second = shared->second + 1;
          CHILD_EXPECT(shared->lock.unlock() == unlock_status::released);
        } else {
          CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired");
          const std::uint64_t seen = shared->first;
          if (i % 64 == 0) sched_yield();
          CHILD_EXPECT(shared->second == seen && shared->first == seen);
          CHILD_EXPECT(shared->lock.unlock_shared() == unlock_status::released);
        }
      }
    });
  };
  std::vector<std::unique_ptr<child_process>> children;
  children.reserve(6);
  for (int i = 0; i < 6; ++i) children.push_back(process(i));
  for (const auto& child : children) EXPECT_EQ(child->wait(), exited(0));
  EXPECT_EQ(shared->first, shared->second);
  EXPECT_GE(shared->first, std::uint64_t{6} * (rounds / 3));
}

TEST_F(region_shared_mutex, threads_of_one_process_are_readers_and_writers_of_their_own) {
  const auto work = [this] {
    for (int i = 0; i < 3'000; ++i) {
      if (i % 4 == 0) {
        std::scoped_lock hold{shared->lock};
        ++shared->plain;
      } else {
        std::shared_lock hold{shared->lock};
        EXPECT_LE(shared->plain, std::uint64_t{3'000});
      }
    }
  };
  std::thread a{work};
  std::thread b{work};
  work();
  a.join();
  b.join();
  EXPECT_EQ(shared->plain, 3u * 750u);
}

TEST_F(region_shared_mutex, waiters_without_futex_waitv_are_woken_by_unlock) {
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  child_process child{[this] {
    CHILD_EXPECT(refuse_system_call(449, SECCOMP_RET_ERRNO | ENOSYS));
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    CHILD_EXPECT(name(shared->lock.unlock()) == "released");
  }};
  await("the writer's sleep", [&] { return own_hold(shared) & regions::hold_awaited; });
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(child.wait(), exited(0));
}

} // namespace
} // namespace deadbolt::testing
