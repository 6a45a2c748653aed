// SPDX-License-Identifier: MIT
// Named objects are destroyed, and what a process leaves that dies while it does that.
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <region_support.hpp>

#include <region/bias.hpp>

namespace deadbolt::testing {
namespace {

region make(const region_options& options) {
  region made = region::create_anonymous("deadbolt-test", options);
  EXPECT_EQ(name(made.status()), "open") << made.error();
  return made;
}

int destructors = 0;
struct counted {
  std::uint64_t value = 1;
  ~counted() { ++destructors; }
};

TEST(region_names_destroy, destroyed_object_gives_its_name_and_its_bytes_back) {
  region shared = make({.size = 3 * sizeof(counted), .members = 4});
  destructors = 0;
  auto* first = shared.find_or_construct<counted>("first");
  auto* second = shared.find_or_construct<counted>("second");
  auto* third = shared.find_or_construct<counted>("third");
  EXPECT_EQ(shared.find_or_construct<counted>("fourth"), nullptr);
  EXPECT_STREQ(to_string(shared.destroy<counted>("none")), "not_found");
  EXPECT_STREQ(to_string(shared.destroy<std::uint32_t>("second")), "other_kind");
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::mutex>("second")), "other_kind");
  EXPECT_EQ(destructors, 0);
  second->value = 9;
  EXPECT_STREQ(to_string(shared.destroy<counted>("second")), "destroyed");
  EXPECT_EQ(destructors, 1);
  EXPECT_STREQ(to_string(shared.destroy<counted>("second")), "not_found");
  EXPECT_EQ(shared.find<counted>("second"), nullptr);
  EXPECT_EQ(names_in(shared), (std::set<std::string>{"first", "third"}));
  auto* fourth = shared.find_or_construct<counted>("fourth");
  EXPECT_EQ(fourth, second) << "the room of the one that was destroyed";
  EXPECT_EQ(fourth->value, 1u);
  // Two neighbours make room for one that is twice as large.
  EXPECT_STREQ(to_string(shared.destroy<counted>("first")), "destroyed");
  EXPECT_STREQ(to_string(shared.destroy<counted>("fourth")), "destroyed");
  struct twice {
    std::uint64_t values[2];
  };
  EXPECT_EQ(static_cast<void*>(shared.find_or_construct<twice>("twice")), first);
  EXPECT_EQ(shared.find<counted>("third"), third);
}

struct thrower {
  std::uint64_t value = 1;
  ~thrower() noexcept(false) { throw 1; }
};

TEST(region_names_destroy, destructor_that_throws_leaves_no_object_and_no_lock) {
  region shared = make({.size = 4096, .members = 4});
  ASSERT_NE(shared.find_or_construct<thrower>("it"), nullptr);
  EXPECT_THROW(static_cast<void>(shared.destroy<thrower>("it")), int);
  EXPECT_EQ(shared.find<thrower>("it"), nullptr);
  EXPECT_NE(shared.find_or_construct<counted>("another"), nullptr);
  EXPECT_STREQ(to_string(shared.destroy<thrower>("it")), "destroyed");
}

TEST(region_names_destroy, lock_that_is_in_use_is_not_destroyed) {
  region shared = make({.size = 4096, .members = 8});
  auto* lock = shared.find_or_construct<deadbolt::mutex>("mutex");
  auto* table = shared.find_or_construct<deadbolt::shared_mutex>("table");
  auto* permits = shared.find_or_construct<deadbolt::counting_semaphore<3>>("permits", 2);
  auto* condition = shared.find_or_construct<deadbolt::condition_variable>("condition");
  const auto end_mutex = [&] {
    return std::string{to_string(shared.destroy<deadbolt::mutex>("mutex"))};
  };
  ASSERT_EQ(name(lock->lock()), "acquired");
  EXPECT_EQ(end_mutex(), "in_use");
  // A condition variable of which a waiter has not been told anything yet.
  static_cast<void>(condition->wait_for(*lock, std::chrono::milliseconds{1}).status());
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::condition_variable>("condition")), "in_use");
  condition->notify_all();
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::condition_variable>("condition")), "destroyed");
  ASSERT_EQ(name(lock->unlock()), "released");
  // Its next owner has yet to be told.
  ASSERT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(lock->lock()) == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(end_mutex(), "in_use");
  ASSERT_EQ(name(lock->lock()), "owner_died");
  ASSERT_EQ(name(lock->unlock()), "released");
  EXPECT_EQ(end_mutex(), "destroyed") << "one that is not recoverable is nobody's";

  const auto end_table = [&] {
    return std::string{to_string(shared.destroy<deadbolt::shared_mutex>("table"))};
  };
  ASSERT_EQ(name(table->lock_shared()), "acquired");
  EXPECT_EQ(end_table(), "in_use");
  ASSERT_EQ(name(table->unlock_shared()), "released");
  ASSERT_EQ(name(table->lock()), "acquired");
  EXPECT_EQ(end_table(), "in_use");
  ASSERT_EQ(name(table->unlock()), "released");
  ASSERT_EQ(run_in_child([&] {
              CHILD_EXPECT(name(table->lock_shared()) == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(end_table(), "destroyed") << "a dead reader holds nothing";

  ASSERT_EQ(name(permits->acquire()), "acquired");
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::counting_semaphore<3>>("permits")), "in_use");
  ASSERT_EQ(name(permits->release()), "released");
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::counting_semaphore<3>>("permits")), "destroyed");
  EXPECT_TRUE(names_in(shared).empty());
}

// A mutex that is biased to a thread which does not hold it is free.
TEST(region_names_destroy, mutex_that_is_only_biased_is_destroyed) {
  region shared = make({.size = 4096, .members = 8});
  auto* lock = shared.find_or_construct<deadbolt::mutex>("mutex");
  for (std::uint32_t i = 0; i < 4 * regions::takes_before_bias; ++i) {
    ASSERT_EQ(name(lock->lock()), "acquired");
    ASSERT_EQ(name(lock->unlock()), "released");
  }
  if (!regions::is_biased(word_of(*lock))) GTEST_SKIP() << "membarrier is refused here";
  ASSERT_EQ(name(lock->lock()), "acquired");
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::mutex>("mutex")), "in_use");
  ASSERT_EQ(name(lock->unlock()), "released");
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::mutex>("mutex")), "destroyed");

  // Its next owner has yet to be told.
  lock = shared.find_or_construct<deadbolt::mutex>("mutex");
  ASSERT_EQ(run_in_child([&] {
              for (std::uint32_t i = 0; i < 4 * regions::takes_before_bias; ++i) {
                CHILD_EXPECT(name(lock->lock()) == "acquired");
                CHILD_EXPECT(name(lock->unlock()) == "released");
              }
              CHILD_EXPECT(name(lock->lock()) == "acquired");
              CHILD_EXPECT(regions::is_biased(word_of(*lock)));
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::mutex>("mutex")), "in_use");
  ASSERT_EQ(name(lock->lock()), "owner_died");
  ASSERT_TRUE(lock->mark_consistent());
  ASSERT_EQ(name(lock->unlock()), "released");
  EXPECT_STREQ(to_string(shared.destroy<deadbolt::mutex>("mutex")), "destroyed");
}

TEST(region_names_destroy, destroyer_that_dies_in_a_destructor_leaves_no_object) {
  region shared = make({.size = 4096, .members = 4});
  struct fragile {
    bool die = false;
    std::uint64_t value = 3;
    ~fragile() {
      if (die) raise(SIGKILL);
    }
  };
  for (const bool again : {false, true}) {
    shared.find_or_construct<fragile>("it")->die = true;
    EXPECT_EQ(run_in_child([&] { shared.destroy<fragile>("it"); }), killed_by(SIGKILL));
    EXPECT_EQ(shared.find<fragile>("it"), nullptr);
    EXPECT_TRUE(names_in(shared).empty());
    if (again) {
      auto* anew = shared.find_or_construct<fragile>("it");
      EXPECT_EQ(std::string{to_string(last_construct_status())}, "constructed");
      EXPECT_EQ(anew->value, 3u);
    }
    EXPECT_STREQ(to_string(shared.destroy<fragile>("it")), "destroyed")
        << "without the destructor, which would kill this process";
    EXPECT_STREQ(to_string(shared.destroy<fragile>("it")), "not_found");
  }
}

} // namespace
} // namespace deadbolt::testing
