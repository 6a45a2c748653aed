// SPDX-License-Identifier: MIT
// deadbolt::shared_mutex: what the deaths of readers and writers leave.
#include <region_support.hpp>
#include <shared_support.hpp>

#include <deadbolt/with_recovery.hpp>
#include <futex_thread.hpp>

#include <csignal>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;

class region_shared_death : public ::testing::Test {
protected:
  region_of<shared_board> shared;

  void kill_a_writer() {
    EXPECT_EQ(run_in_child([&] {
                static_cast<void>(shared->lock.lock().status());
                raise(SIGKILL);
              }),
              killed_by(SIGKILL));
  }
  child_process reader() {
    return child_process{[this] {
      CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired");
      shared->held.open();
      for (;;) pause();
    }};
  }
};

TEST_F(region_shared_death, killed_readers_hold_ends_and_nobody_is_told) {
  child_process child = reader();
  shared->held.pass("the reader");
  EXPECT_EQ(name(shared->lock.try_lock()), "busy");
  child.kill();
  EXPECT_EQ(child.wait(), killed_by(SIGKILL));
  EXPECT_EQ(holds_of(shared.handle(), shared->lock), 1u) << "the dead slot still shows it";
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_EQ(holds_of(shared.handle(), shared->lock), 0u) << "the writer took it away";
  EXPECT_FALSE(shared->lock.mark_consistent()) << "nobody was told of a death";
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

// Of three readers one dies, and the two others still keep the writer out.
TEST_F(region_shared_death, one_dead_reader_of_three_is_one_hold_less) {
  child_process a = reader();
  child_process b = reader();
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  await("three readers", [&] { return holds_of(shared.handle(), shared->lock) == 3; });
  child_process writer{[this] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    shared->first = 1;
    CHILD_EXPECT(name(shared->lock.unlock()) == "released");
  }};
  await("the writer's word", [&] { return word_of(shared->lock) != 0; });
  a.kill();
  EXPECT_EQ(a.wait(), killed_by(SIGKILL));
  EXPECT_EQ(shared->first, 0u);
  b.kill();
  EXPECT_EQ(b.wait(), killed_by(SIGKILL));
  EXPECT_EQ(shared->first, 0u);
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(writer.wait(), exited(0));
  EXPECT_EQ(shared->first, 1u);
}

TEST_F(region_shared_death, sleeping_writer_is_woken_by_a_readers_death) {
  child_process child = reader();
  shared->held.pass("the reader");
  child_process writer{[this] { CHILD_EXPECT(name(shared->lock.lock()) == "acquired"); }};
  await("the writer's sleep", [&] { return own_hold(shared) & regions::hold_awaited; });
  child.kill();
  EXPECT_EQ(writer.wait(), exited(0));
}

// A slot is taken again at once: its last owner's holds must not count as the new one's.
TEST_F(region_shared_death, new_owner_of_a_dead_readers_slot_holds_nothing) {
  for (int round = 0; round < 20; ++round) {
    region_of<shared_board> one{2};
    ASSERT_EQ(name(one.handle().attach()), "attached");
    EXPECT_EQ(run_in_child([&] {
                CHILD_EXPECT(name(one->lock.lock_shared()) == "acquired");
                CHILD_EXPECT(name(one->other.lock_shared()) == "acquired");
                raise(SIGKILL);
              }),
              killed_by(SIGKILL));
    child_process next{[&] {
      CHILD_EXPECT(name(one.handle().attach()) == "attached");
      one->held.open();
      one->done.pass("the end");
    }};
    one->held.pass("the new owner");
    EXPECT_EQ(holds_of(one.handle(), one->lock), 0u);
    EXPECT_EQ(name(one->lock.try_lock()), "acquired");
    EXPECT_EQ(name(one->lock.unlock()), "released");
    one->done.open();
    EXPECT_EQ(next.wait(), exited(0));
  }
}

TEST_F(region_shared_death, exit_of_a_reading_thread_ends_its_hold) {
  std::thread{[&] { EXPECT_EQ(name(shared->lock.lock_shared()), "acquired"); }}.join();
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

// The kernel marks nothing when a thread that is not the leader calls execve.
TEST_F(region_shared_death, reader_that_execve_took_away_is_noticed) {
  child_process child{[this] {
    std::thread second{[this] {
      CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired");
      shared->held.open();
      execl("/bin/sleep", "sleep", "60", nullptr);
    }};
    second.join();
  }};
  shared->held.pass("the reader");
  EXPECT_EQ(name(shared->lock.try_lock_for(20s)), "acquired");
  EXPECT_EQ(holds_of(shared.handle(), shared->lock), 0u) << "later writers do not look again";
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_shared_death, killed_writer_is_followed_as_owner_died) {
  kill_a_writer();
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  EXPECT_TRUE(shared->lock.mark_consistent());
  EXPECT_FALSE(shared->lock.mark_consistent());
  EXPECT_EQ(name(shared->lock.unlock()), "released");
  EXPECT_EQ(name(shared->lock.try_lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_shared_death, reader_after_a_dead_writer_repairs_alone_and_reads_on) {
  kill_a_writer();
  EXPECT_EQ(name(shared->lock.lock_shared()), "owner_died");
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.try_lock_shared()) == "busy");
              CHILD_EXPECT(name(shared->lock.try_lock()) == "busy");
            }),
            exited(0));
  EXPECT_TRUE(shared->lock.mark_consistent());
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(name(shared->lock.try_lock_shared()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
}

TEST_F(region_shared_death, reader_that_does_not_repair_leaves_it_not_recoverable) {
  kill_a_writer();
  EXPECT_EQ(name(shared->lock.try_lock_shared()), "owner_died");
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(name(shared->lock.lock_shared()), "not_recoverable");
  EXPECT_EQ(name(shared->lock.try_lock_shared()), "not_recoverable");
  EXPECT_EQ(name(shared->lock.lock()), "not_recoverable");
  EXPECT_EQ(name(shared->lock.try_lock()), "not_recoverable");
}

TEST_F(region_shared_death, second_death_before_repair_is_told_again) {
  kill_a_writer();
  kill_a_writer();
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.lock_shared()) == "owner_died");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(name(shared->lock.lock()), "owner_died");
  EXPECT_TRUE(shared->lock.mark_consistent());
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_shared_death, writer_that_died_waiting_for_readers_is_not_told) {
  EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
  {
    child_process writer{[this] { static_cast<void>(shared->lock.lock().status()); }};
    await("the writer's sleep", [&] { return own_hold(shared) & regions::hold_awaited; });
  } // killed
  EXPECT_NE(word_of(shared->lock), 0u) << "it died with the word";
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired");
              CHILD_EXPECT(name(shared->lock.unlock_shared()) == "released");
            }),
            exited(0));
  EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
  EXPECT_EQ(name(shared->lock.lock()), "acquired");
  EXPECT_EQ(name(shared->lock.unlock()), "released");
}

TEST_F(region_shared_death, with_recovery_repairs_for_readers_too) {
  kill_a_writer();
  int repairs = 0;
  with_recovery account{shared->lock, [&] { return ++repairs == 1; }};
  {
    std::shared_lock hold{account};
    EXPECT_EQ(repairs, 1);
  }
  { std::unique_lock hold{account}; }
  EXPECT_EQ(repairs, 1);
  EXPECT_EQ(word_of(shared->lock), 0u);
}

TEST_F(region_shared_death, dropped_owner_died_of_a_reader_ends_the_process) {
  kill_a_writer();
  EXPECT_EQ(run_in_child([this] { std::shared_lock hold{shared->lock}; }), killed_by(SIGABRT));
}

// Readers and writers come and go, and are killed, all at once; two words tell whether a
// writer was ever alone.
TEST_F(region_shared_death, storm_of_kills_breaks_no_exclusion_and_strands_nobody) {
  const auto work = [this] {
    for (auto i = static_cast<std::uint64_t>(getpid());; ++i) {
      if (i % 4 == 0) {
        if (shared->lock.lock().status() == lock_status::owner_died) {
          shared->second = shared->first.load();
          CHILD_EXPECT(shared->lock.mark_consistent());
        }
        shared->first = shared->first + 1;
        shared->second = shared->second + 1;
        CHILD_EXPECT(shared->lock.unlock() == unlock_status::released);
      } else {
        if (shared->lock.lock_shared().status() == lock_status::owner_died) {
          shared->second = shared->first.load();
          CHILD_EXPECT(shared->lock.mark_consistent());
        }
        CHILD_EXPECT(shared->first == shared->second);
        CHILD_EXPECT(shared->lock.unlock_shared() == unlock_status::released);
      }
    }
  };
  std::vector<std::unique_ptr<child_process>> children;
  children.reserve(4);
  for (int i = 0; i < 4; ++i) children.push_back(std::make_unique<child_process>(work));
  for (std::size_t round = 0; round < 100; ++round) {
    const std::uint64_t before = shared->first;
    // Some process still acquires the lock: none is stranded.
    await("progress after a kill", [&] { return shared->first > before; });
    auto& victim = children[round % children.size()];
    victim->kill();
    ASSERT_EQ(victim->wait(), killed_by(SIGKILL)) << "it saw a half-written value";
    victim = std::make_unique<child_process>(work);
  }
}

} // namespace
} // namespace deadbolt::testing
