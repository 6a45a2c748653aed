// SPDX-License-Identifier: MIT
// deadbolt::undo_log: what a transaction changed is kept whole or put back whole, wherever the
// process is killed. The mutants are logs whose stores come in another order.
#include "kill_after_each_change.hpp"

#include <deadbolt/undo_log.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <new>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace deadbolt::testing {
namespace {

struct entry {
  char text[5];
};

struct numbers {
  long left = 100;
  long right = 0;
  entry name{"none"};
  undo_log<128> log;
};

TEST(undo_log, committed_changes_stay) {
  numbers data;
  {
    transaction change{data.log};
    change.edit(data.left) = 1;
    change.commit();
  }
  EXPECT_TRUE(data.log.roll_back());
  EXPECT_EQ(data.left, 1);
}

TEST(undo_log, changes_without_commit_are_put_back) {
  numbers data;
  {
    transaction change{data.log};
    change.edit(data.left) = 1;
    change.edit(data.name) = {"some"};
    change.edit(data.left) = 2; // twice: the first saved value counts
    EXPECT_FALSE(data.log.empty());
  }
  EXPECT_TRUE(data.log.empty());
  EXPECT_EQ(data.left, 100);
  EXPECT_STREQ(data.name.text, "none");
}

TEST(undo_log, full_log_throws_and_the_section_is_put_back) {
  numbers data;
  const auto section = [&] {
    transaction change{data.log};
    for (int i = 0; i < 6; ++i) change.edit(data.left) = i; // 24 bytes each: the sixth is too much
  };
  EXPECT_THROW(section(), std::length_error);
  EXPECT_EQ(data.left, 100);
}

TEST(undo_log, second_transaction_on_a_log_throws) {
  numbers data;
  transaction change{data.log};
  change.edit(data.left) = 1;
  EXPECT_THROW(transaction{data.log}, std::logic_error);
  EXPECT_EQ(data.left, 1) << "the first one goes on";
}

TEST(undo_log, damaged_log_is_not_applied) {
  numbers data;
  {
    transaction change{data.log};
    change.edit(data.left) = 1;
    change.commit();
  }
  const std::uint32_t too_long = 1000;
  std::memcpy(static_cast<void*>(&data.log), &too_long, sizeof too_long);
  EXPECT_FALSE(data.log.roll_back());
  const std::uint32_t too_short = 3;
  std::memcpy(static_cast<void*>(&data.log), &too_short, sizeof too_short);
  EXPECT_FALSE(data.log.roll_back());
  std::memset(static_cast<void*>(&data.log), 0, sizeof data.log);
}

TEST(undo_log, zeroed_memory_is_an_empty_log_and_another_mapping_can_roll_back) {
  const int file = memfd_create("undo_log_test", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(file, 4096), 0);
  numbers* mapped[2];
  for (numbers*& at : mapped) {
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT_NE(memory, MAP_FAILED);
    at = static_cast<numbers*>(memory);
  }
  EXPECT_TRUE(mapped[0]->log.empty());
  {
    transaction change{mapped[0]->log};
    change.edit(mapped[0]->right) = 5;
    EXPECT_TRUE(mapped[1]->log.roll_back());
    EXPECT_EQ(mapped[0]->right, 0);
  }
  for (numbers* at : mapped) munmap(at, 4096);
  close(file);
}

// ---- killed wherever it changes memory ----

// The log's steps for two numbers, in the right order or in a wrong one.
enum class fault {
  none,
  publishes_before_saving,
  writes_before_publishing,
  commits_before_writing
};

template <class T>
void store(T& to, T value) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  __atomic_store_n(&to, value, __ATOMIC_RELAXED);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

struct plain_log {
  std::uint32_t used = 0;
  long* places[2] = {};
  long values[2] = {};

  bool roll_back() {
    for (; used != 0; store(used, used - 1)) {
      if (places[used - 1] != nullptr) *places[used - 1] = values[used - 1];
    }
    return true;
  }
};

struct plain_numbers {
  long left = 100;
  long right = 0;
  plain_log log;
};

void move(plain_numbers& data, fault fault) {
  plain_log& log = data.log;
  for (std::uint32_t i = 0; i < 2; ++i) {
    long& object = i == 0 ? data.left : data.right;
    const long value = i == 0 ? data.left - 1 : data.right + 1;
    if (fault == fault::publishes_before_saving) store(log.used, i + 1);
    store(log.places[i], &object);
    store(log.values[i], object);
    if (fault == fault::writes_before_publishing) store(object, value);
    store(log.used, i + 1);
    if (fault == fault::commits_before_writing && i == 1) store(log.used, std::uint32_t{0});
    store(object, value);
  }
  store(log.used, std::uint32_t{0});
}

void move(numbers& data) {
  transaction change{data.log};
  change.edit(data.left) -= 1;
  change.edit(data.right) += 1;
  change.commit();
}

template <class Numbers>
class killed_at_every_change {
public:
  killed_at_every_change() {
    void* memory =
        mmap(nullptr, sizeof(Numbers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    data = new (memory) Numbers;
  }
  killed_at_every_change(const killed_at_every_change&) = delete;
  killed_at_every_change& operator=(const killed_at_every_change&) = delete;
  ~killed_at_every_change() { munmap(data, sizeof(Numbers)); }

  // Kills move() after each of its changes; how often the data was not whole after that.
  template <class Move>
  int violations(Move move) {
    int found = 0;
    long moved = 0;
    kills = kill_after_each_change(
        data, sizeof *data, [&] { move(*data); },
        [&] {
          const bool done = data->log.roll_back() && data->left + data->right == 100 &&
                            (data->right == moved || data->right == moved + 1);
          if (!done) {
            ++found;
            new (data) Numbers;
          }
          // One whole move: what the log's memory holds from before is older than the data.
          move(*data);
          moved = data->right;
        });
    return found;
  }

  Numbers* data;
  int kills = 0;
};

TEST(undo_log_killed_at_every_change, transaction_is_whole) {
  killed_at_every_change<numbers> run;
  EXPECT_EQ(run.violations([](numbers& data) { move(data); }), 0);
  EXPECT_GE(run.kills, 7) << "two saved values, three lengths, two numbers";
}

TEST(undo_log_killed_at_every_change, roll_back_is_done_again) {
  killed_at_every_change<numbers> run;
  numbers& data = *run.data;
  const auto die_half_way = [&] {
    child_process child{[&] {
      transaction change{data.log};
      change.edit(data.left) = 7;
      change.edit(data.right) = 7;
      change.edit(data.left) = 8;
      _exit(0); // as a death would: nothing is undone
    }};
    EXPECT_EQ(child.wait(), exited(0));
  };
  die_half_way();
  const int kills = kill_after_each_change(
      &data, sizeof data, [&] { data.log.roll_back(); },
      [&] {
        EXPECT_TRUE(data.log.roll_back());
        EXPECT_EQ(data.left, 100);
        EXPECT_EQ(data.right, 0);
        die_half_way();
      });
  EXPECT_GE(kills, 6) << "three objects and the log's three lengths";
}

TEST(undo_log_killed_at_every_change, wrong_orders_lose_money) {
  for (const fault fault : {fault::none, fault::publishes_before_saving,
                            fault::writes_before_publishing, fault::commits_before_writing}) {
    killed_at_every_change<plain_numbers> run;
    const int violations = run.violations([&](plain_numbers& data) { move(data, fault); });
    if (fault == fault::none) {
      EXPECT_EQ(violations, 0);
    } else {
      EXPECT_GE(violations, 1) << static_cast<int>(fault);
    }
  }
}

} // namespace
} // namespace deadbolt::testing
