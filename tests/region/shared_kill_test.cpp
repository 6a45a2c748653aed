// SPDX-License-Identifier: MIT
// Death at every instruction of a shared_mutex's operations, readers' and writers'.
#include <region_support.hpp>
#include <shared_support.hpp>
#include <stepped_child.hpp>

#include <memory>
#include <optional>

namespace deadbolt::testing {
namespace {

struct board {
  deadbolt::shared_mutex lock;
  std::uint64_t around[8];
};

class region_shared_kill : public ::testing::Test {
protected:
  static constexpr std::uint32_t members = 3;
  region_of<board> shared{members};

  change_counter changes;
  // Of what the operations write: the slots and the data.
  [[nodiscard]] std::uint64_t everything() {
    const auto slot = [this](std::uint32_t number) {
      return change_counter::bytes{&slot_at(shared.handle(), number), sizeof(regions::member_slot)};
    };
    static_assert(members == 3);
    return changes.look({slot(0), slot(1), slot(2), {&*shared, sizeof(board)}});
  }
  void attach() { CHILD_EXPECT(name(shared.handle().attach()) == "attached"); }
  [[nodiscard]] std::uint32_t state() const {
    return __atomic_load_n(reinterpret_cast<const std::uint8_t*>(native()) + 12, __ATOMIC_ACQUIRE);
  }
  [[nodiscard]] std::uint64_t* native() const {
    return const_cast<std::uint64_t*>(const_cast<region_of<board>&>(shared)->lock.native_handle());
  }

  // The next locker gets the lock, is told of a death if and only if a dead thread held it, and
  // leaves everything as it was.
  [[nodiscard]] bool can_be_had(std::uint32_t instructions) {
    const bool inside = word_of(shared->lock) != 0 && state() != regions::state_outside;
    const std::string result = name(shared->lock.try_lock());
    EXPECT_EQ(result, inside ? "owner_died" : "acquired") << "killed after " << instructions;
    EXPECT_EQ(shared->lock.mark_consistent(), inside);
    EXPECT_EQ(name(shared->lock.unlock()), "released");
    EXPECT_EQ(name(shared->lock.lock_shared()), "acquired");
    EXPECT_EQ(name(shared->lock.unlock_shared()), "released");
    EXPECT_EQ(word_of(shared->lock), 0u);
    EXPECT_TRUE(shared.handle().detach());
    for (const std::uint64_t value : shared->around) EXPECT_EQ(value, 0u);
    if (inside) ++deaths_inside_;
    return !HasFailure();
  }

  template <class Prepare, class Operation>
  kill_points attack(const char* what, Prepare&& prepare, Operation&& operation) {
    // The lock's bits that say where to look stay set: every child finds the same.
    EXPECT_TRUE(can_be_had(0));
    deaths_inside_ = 0;
    const kill_points points = kill_in_every_state(
        prepare, operation, [&] { return everything(); },
        [&](std::uint32_t instructions) { return can_be_had(instructions); });
    std::printf("%s: %u instructions, killed in each of %u states, %u inside\n", what,
                points.instructions, points.killed, deaths_inside_);
    return points;
  }

  std::uint32_t deaths_inside_ = 0;
};

TEST_F(region_shared_kill, lock_shared) {
  const kill_points points = attack(
      "lock_shared", [&] { attach(); },
      [&] { static_cast<void>(shared->lock.lock_shared().status()); });
  EXPECT_GE(points.killed, 3u);
  EXPECT_EQ(deaths_inside_, 0u);
}

TEST_F(region_shared_kill, unlock_shared) {
  const kill_points points = attack(
      "unlock_shared", [&] { CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired"); },
      [&] { static_cast<void>(shared->lock.unlock_shared()); });
  EXPECT_GE(points.killed, 3u);
  EXPECT_EQ(deaths_inside_, 0u);
}

TEST_F(region_shared_kill, lock_and_unlock) {
  const kill_points locks = attack(
      "lock", [&] { attach(); }, [&] { static_cast<void>(shared->lock.lock().status()); });
  EXPECT_GE(locks.killed, 3u);
  EXPECT_GE(deaths_inside_, 1u);
  const kill_points unlocks = attack(
      "unlock", [&] { CHILD_EXPECT(name(shared->lock.lock()) == "acquired"); },
      [&] { static_cast<void>(shared->lock.unlock()); });
  EXPECT_GE(unlocks.killed, 3u);
  EXPECT_GE(deaths_inside_, 1u);
  EXPECT_LT(deaths_inside_, unlocks.killed);
}

// A dead reader is in the way, and the slot's bit is set.
TEST_F(region_shared_kill, lock_behind_a_dead_reader) {
  const kill_points points = attack(
      "lock behind a dead reader",
      [&] {
        attach(); // first: the dead reader's slot stays as it is
        CHILD_EXPECT(run_in_child([&] {
                       CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired");
                       raise(SIGKILL);
                     }) == killed_by(SIGKILL));
      },
      [&] { static_cast<void>(shared->lock.lock().status()); });
  EXPECT_GE(points.killed, 4u);
  EXPECT_GE(deaths_inside_, 1u);
}

// The longest path of a reader: the word names a dead owner that did not hold the lock.
TEST_F(region_shared_kill, lock_shared_behind_a_writer_that_died_outside) {
  const kill_points points = attack(
      "lock_shared behind a dead writer",
      [&] {
        attach();
        CHILD_EXPECT(run_in_child([&] {
                       CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
                       __atomic_store_n(reinterpret_cast<std::uint32_t*>(native()) + 3, 0,
                                        __ATOMIC_RELEASE);
                       raise(SIGKILL);
                     }) == killed_by(SIGKILL));
      },
      [&] { static_cast<void>(shared->lock.lock_shared().status()); });
  EXPECT_GE(points.killed, 6u);
  EXPECT_EQ(deaths_inside_, 0u);
}

TEST_F(region_shared_kill, takeover_by_a_reader) {
  const kill_points points = attack(
      "lock_shared after a writer's death",
      [&] {
        attach();
        CHILD_EXPECT(run_in_child([&] {
                       static_cast<void>(shared->lock.lock().status());
                       raise(SIGKILL);
                     }) == killed_by(SIGKILL));
      },
      [&] {
        static_cast<void>(shared->lock.lock_shared().status());
        shared->lock.mark_consistent();
        static_cast<void>(shared->lock.unlock_shared());
      });
  EXPECT_GE(points.killed, 5u);
  EXPECT_GE(deaths_inside_, 3u);
}

// The memory becomes data as soon as the lock is free: any data, the dying thread's TID
// among it.
TEST(region_shared_kill_reuse, unlocks_killed_anywhere_spare_reused_memory) {
  for (const bool reads : {false, true}) {
    region_of<board> shared{4};
    auto* words = const_cast<std::uint64_t*>(shared->lock.native_handle());
    std::optional<std::uint64_t> data;
    std::uint32_t reused = 0;
    const std::uint32_t points = kill_at_every_instruction(
        [&] {
          if (reads) {
            CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired");
          } else {
            CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
            __atomic_fetch_or(words, regions::word_waiters, __ATOMIC_RELAXED); // owes a wake
          }
        },
        [&] { static_cast<void>(reads ? shared->lock.unlock_shared() : shared->lock.unlock()); },
        [&](const stepped_child& child) {
          data.reset();
          if (!shared->lock.try_lock()) return;
          EXPECT_EQ(name(shared->lock.unlock()), "released");
          const auto tid = static_cast<std::uint64_t>(child.pid());
          const std::uint64_t values[] = {tid, tid | FUTEX_WAITERS, tid << 32 | tid, 0, 1, 2};
          data = values[reused++ % std::size(values)];
          words[0] = words[1] = *data;
        },
        [&](std::uint32_t instructions) {
          if (data) {
            EXPECT_EQ(words[0], *data) << "killed after " << instructions;
            EXPECT_EQ(words[1], *data) << "killed after " << instructions;
          } else {
            const std::string result = name(shared->lock.try_lock());
            EXPECT_TRUE(result == "acquired" || (!reads && result == "owner_died")) << result;
          }
          words[0] = words[1] = 0;
          EXPECT_TRUE(shared.handle().detach());
          return !::testing::Test::HasFailure();
        });
    std::printf("%s: killed at each of %u instructions, memory reused at %u\n",
                reads ? "unlock_shared" : "unlock", points, reused);
    EXPECT_GT(reused, 5u);
    EXPECT_LT(reused, points);
  }
}

// A writer asleep on the reader's hold gets the lock wherever that reader dies.
TEST(region_shared_kill_waiter, sleeping_writer_gets_the_lock_wherever_its_reader_dies) {
  region_of<shared_board> shared{4};
  for (std::uint32_t count = 0;; ++count) {
    stepped_child reader{[&] { CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired"); },
                         [&] { static_cast<void>(shared->lock.unlock_shared()); }};
    child_process writer{[&] {
      CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
      CHILD_EXPECT(name(shared->lock.unlock()) == "released");
    }};
    await("the writer's sleep", [&] { return own_hold(shared) & regions::hold_awaited; });
    const bool within = reader.step(count);
    reader.kill();
    ASSERT_EQ(writer.wait(), exited(0)) << "killed after " << count;
    if (!within) {
      std::printf("unlock_shared before a sleeping writer: killed at each of %u\n", count);
      break;
    }
  }
}

// Readers asleep behind a writer get the lock wherever that one dies.
TEST(region_shared_kill_waiter, sleeping_readers_get_the_lock_wherever_the_writer_dies) {
  region_of<shared_board> shared{5};
  for (std::uint32_t count = 0;; ++count) {
    stepped_child writer{[&] { CHILD_EXPECT(name(shared->lock.lock()) == "acquired"); },
                         [&] { static_cast<void>(shared->lock.unlock()); }};
    const auto read = [&] {
      lock_result result = shared->lock.lock_shared();
      if (result.status() == lock_status::owner_died) shared->lock.mark_consistent();
      CHILD_EXPECT(static_cast<bool>(result));
      CHILD_EXPECT(name(shared->lock.unlock_shared()) == "released");
    };
    child_process a{read};
    child_process b{read};
    await("a waiter's bit", [&] { return (word_of(shared->lock) & regions::word_waiters) != 0; });
    const bool within = writer.step(count);
    writer.kill();
    ASSERT_EQ(a.wait(), exited(0)) << "killed after " << count;
    ASSERT_EQ(b.wait(), exited(0)) << "killed after " << count;
    if (!within) {
      std::printf("unlock before sleeping readers: killed at each of %u\n", count);
      break;
    }
  }
}

} // namespace
} // namespace deadbolt::testing
