// SPDX-License-Identifier: MIT
// The programs of examples/, killed wherever they change what they share: their data is
// whole for the next owner, and no step of it is lost or done twice.
#include "kill_after_each_change.hpp"

#include <deadbolt/condition_variable.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/thread_safety.hpp>
#include <deadbolt/undo_log.hpp>
#include <deadbolt/with_recovery.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

// Their own text; the headers that it includes are included above. The account and the
// counter run as the programs that they are: of them only the types are used here.
// NOLINTBEGIN(bugprone-suspicious-include)
#pragma GCC diagnostic ignored "-Wreturn-type" // main() may end without a return statement
#define main account_main
namespace account_example {
#include "../../examples/account.cpp"
}
#undef main
#define main shared_account_main
namespace shared_account_example {
#include "../../examples/shared_account.cpp"
}
#undef main
#define main shared_counter_main
namespace shared_counter_example {
#include "../../examples/shared_counter.cpp"
}
#undef main
#define main shared_queue_main
namespace shared_queue_example {
#include "../../examples/shared_queue.cpp"
}
#undef main
// NOLINTEND(bugprone-suspicious-include)
#include "../../examples/kv_table.hpp"

namespace deadbolt::testing {
namespace {

using std::chrono::milliseconds;

// A step of the example was done, or was not.
void expect_step(long now, long before) {
  EXPECT_TRUE(now == before || now == before + 1) << before << " became " << now;
}

TEST(examples_killed_at_every_change, account_of_the_readme_keeps_its_money) {
  unlink(ACCOUNT_REGION);
  auto region = region::open_or_create(ACCOUNT_REGION, {.size = 4096});
  ASSERT_TRUE(region);
  auto* shared = region.find_or_construct<account_example::bank>("bank");
  ASSERT_NE(shared, nullptr);
  long transfers = 0;
  const int kills = kill_after_each_change(
      shared, sizeof *shared, [] { execl(ACCOUNT_PROGRAM, ACCOUNT_PROGRAM, nullptr); },
      [&] {
        with_recovery lock{shared->mutex, [&] { return shared->log.roll_back(); }};
        const std::scoped_lock hold{lock};
        EXPECT_EQ(shared->checking + shared->savings, 1000);
        EXPECT_EQ(shared->savings % 100, 0);
        EXPECT_TRUE(shared->log.empty());
        expect_step(shared->savings / 100, transfers);
        transfers = shared->savings / 100;
      });
  // Lock, two records, two balances, no record, unlock. Saved values and places may be there
  // from before.
  EXPECT_GE(kills, 7);
  EXPECT_GE(transfers, 2);
  unlink(ACCOUNT_REGION);
}

TEST(examples_killed_at_every_change, shared_account_keeps_its_money) {
  void* memory = mmap(nullptr, sizeof(shared_account_example::bank), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& shared = *new (memory) shared_account_example::bank;
  long moved = 0;
  const int kills = kill_after_each_change(
      &shared, sizeof shared, [&] { shared_account_example::transfer(shared, false); },
      [&] {
        with_recovery lock{shared.mutex, [&] { return shared.recover(); }};
        const std::scoped_lock hold{lock};
        EXPECT_EQ(shared.left + shared.right, shared_account_example::total);
        expect_step(shared.right, moved);
        moved = shared.right;
      });
  EXPECT_GE(kills, 7);
  EXPECT_GE(shared.recoveries, 5);
  munmap(memory, sizeof shared);
}

TEST(examples_killed_at_every_change, shared_counter_counts_each_step_once) {
  const std::string path = "/dev/shm/deadbolt-examples-counter-" + std::to_string(getpid());
  auto region = region::create(path.c_str(), {.size = 4096});
  ASSERT_TRUE(region);
  auto* shared = region.find_or_construct<shared_counter_example::counter>("counter");
  ASSERT_NE(shared, nullptr);
  long value = 0;
  const int kills = kill_after_each_change(
      shared, sizeof *shared,
      [&] {
        static_cast<void>(std::freopen("/dev/null", "w", stdout));
        execl(COUNTER_PROGRAM, COUNTER_PROGRAM, path.c_str(), "1", nullptr);
      },
      [&] {
        const lock_status status = shared->lock.lock().status();
        if (status == lock_status::owner_died) shared_counter_example::repair(*shared);
        EXPECT_EQ(shared->twice, 2 * shared->value);
        expect_step(static_cast<long>(shared->value), value);
        value = static_cast<long>(shared->value);
        EXPECT_EQ(shared->lock.unlock(), unlock_status::released);
      });
  EXPECT_GE(kills, 4);
  unlink(path.c_str());
}

class queue_killed_at_every_change : public ::testing::Test {
protected:
  using queue = shared_queue_example::queue;

  void put(std::uint64_t count) {
    while (count-- != 0) numbers.put(++last_put);
  }
  // Takes all items. They must be those that were put, in order and whole, except for the first
  // `at_most`.
  void expect_all_but(std::uint64_t at_most) {
    std::uint64_t item = 0;
    for (bool first = true; numbers.take(item, milliseconds{0}); first = false) {
      EXPECT_GT(item, last_taken);
      EXPECT_LE(item - last_taken, first ? at_most + 1 : 1);
      last_taken = item;
    }
    EXPECT_EQ(last_taken, last_put);
  }

  region memory = region::create_anonymous("queue", {.size = sizeof(queue)});
  queue& numbers = *memory.find_or_construct<queue>("queue");
  std::uint64_t last_put = 0;
  std::uint64_t last_taken = 0;
};

TEST_F(queue_killed_at_every_change, item_of_a_killed_producer_is_there_or_is_not) {
  int done = 0;
  const int kills = kill_after_each_change(
      &numbers, sizeof numbers, [&] { numbers.put(last_put + 1); },
      [&] {
        std::uint64_t item = 0;
        if (!numbers.take(item, milliseconds{0})) return;
        EXPECT_EQ(item, ++last_put);
        last_taken = item;
        ++done;
        expect_all_but(0);
      });
  EXPECT_GE(kills, 4);
  EXPECT_GE(done, 2);
}

TEST_F(queue_killed_at_every_change, killed_consumer_takes_one_item_or_none) {
  put(queue::capacity);
  const int kills = kill_after_each_change(
      &numbers, sizeof numbers,
      [&] {
        std::uint64_t item = 0;
        _exit(numbers.take(item, milliseconds{0}) ? 0 : 1);
      },
      [&] {
        expect_all_but(1);
        put(queue::capacity);
      });
  EXPECT_GE(kills, 3);
}

TEST(examples_killed_at_every_change, kv_table_makes_a_change_whole_or_not_at_all) {
  auto region = region::create_anonymous("kv", {.size = sizeof(kv::table)});
  ASSERT_TRUE(region);
  auto& table = *region.find_or_construct<kv::table>("table");
  const auto set = [&](char letter) {
    return table.update("key", [letter](char(&value)[sizeof(kv::entry::value)]) {
      std::memset(value, letter, sizeof value - 1);
    });
  };
  char before = 0; // the new key's value is empty
  char next = 'a';
  const int kills = kill_after_each_change(
      &table, sizeof table, [&] { _exit(set(next) ? 0 : 1); },
      [&] {
        char found = 0;
        table.for_each([&](const char* key, const char* value) {
          EXPECT_STREQ(key, "key");
          found = value[0];
          EXPECT_EQ(std::string{value}, std::string(sizeof(kv::entry::value) - 1, found));
        });
        EXPECT_TRUE(found == before || found == next) << before << " became " << found;
        if (found == next) ++next;
        before = found;
      });
  EXPECT_GE(kills, 10);
  EXPECT_GE(next, 'b');
}

} // namespace
} // namespace deadbolt::testing
