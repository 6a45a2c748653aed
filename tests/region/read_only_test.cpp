// SPDX-License-Identifier: MIT
// A consumer that may look at a region, and not lock in it.
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <own_directory.hpp>
#include <region_support.hpp>

#include <fcntl.h>
#include <set>
#include <sys/stat.h>

namespace deadbolt::testing {
namespace {

struct board {
  deadbolt::mutex lock;
  deadbolt::shared_mutex table;
  deadbolt::counting_semaphore<2> permits{2};
  std::atomic<std::uint64_t> value;
};

template <class Lock>
concept can_be_locked = requires(Lock& lock) {
  lock.lock();
};
template <class Lock>
concept can_be_acquired = requires(Lock& permits) {
  permits.acquire();
};
static_assert(can_be_locked<deadbolt::mutex> && !can_be_locked<const deadbolt::mutex>);
static_assert(can_be_locked<deadbolt::shared_mutex> &&
              !can_be_locked<const deadbolt::shared_mutex>);
static_assert(can_be_acquired<deadbolt::counting_semaphore<2>> &&
              !can_be_acquired<const deadbolt::counting_semaphore<2>>);
static_assert(std::is_same_v<decltype(read_only_region{}.find<board>("")), const board*>);
static_assert(std::is_same_v<decltype(read_only_region{}.at<board>(0)), const board*>);

class region_read_only : public in_own_directory {
protected:
  region_read_only() : in_own_directory{"region-read-only"} {}
};

TEST_F(region_read_only, shows_objects_and_what_others_do_to_them) {
  region shared =
      region::create(path.c_str(), {.size = 4096, .members = 4, .mode = 0644, .largest = 65536});
  auto* data = shared.find_or_construct<board>("board");
  ASSERT_NE(data, nullptr);
  EXPECT_TRUE(shared.detach());
  // Another user, who may only read the file.
  ASSERT_EQ(chmod(directory.c_str(), 0755), 0);
  region_of<gate> looked;
  region_of<gate> changed;
  child_process reader{[&] {
    shared.close();
    if (geteuid() == 0) CHILD_EXPECT(setgid(65534) == 0 && setuid(65534) == 0);
    if (geteuid() != 0 && access(path.c_str(), W_OK) != 0) {
      CHILD_EXPECT(region::open(path.c_str()).error() == EACCES);
    }
    read_only_region seen = read_only_region::open(path.c_str());
    CHILD_EXPECT(seen.status() == region_status::open && seen.is_at(path.c_str()));
    const board* its = seen.find<board>("board");
    CHILD_EXPECT(its != nullptr && its->value == 0);
    CHILD_EXPECT(seen.find<int>("board") == nullptr);
    CHILD_EXPECT(last_construct_status() == construct_status::other_kind);
    std::set<std::string> names;
    for (const object_info& object : seen.objects()) names.insert(object.name);
    CHILD_EXPECT(names == std::set<std::string>{"board"});
    looked->open();
    changed->pass("the change");
    CHILD_EXPECT(its->value == 5 && seen.size() == 65536);
    CHILD_EXPECT(seen.at<std::uint64_t>(65528) != nullptr && *seen.at<std::uint64_t>(65528) == 9);
    CHILD_EXPECT(seen.close() && !seen);
  }};
  looked->pass("the reader");
  EXPECT_EQ(live_members(shared), 0u);
  data->value = 5;
  EXPECT_STREQ(to_string(shared.grow(65536)), "grown");
  *shared.at<std::uint64_t>(65528) = 9;
  changed->open();
  EXPECT_EQ(reader.wait(), exited(0));
}

TEST_F(region_read_only, lock_that_is_reached_all_the_same_returns_a_status) {
  {
    const region shared = region::create(path.c_str(), {.size = 4096, .members = 4});
    ASSERT_NE(shared.find_or_construct<board>("board"), nullptr);
  }
  read_only_region seen = read_only_region::open(path.c_str());
  auto* its = const_cast<board*>(seen.find<board>("board"));
  ASSERT_NE(its, nullptr);
  const auto read_only = [] { return last_attach_failure().status == attach_status::read_only; };
  EXPECT_EQ(name(its->lock.lock()), "cannot_attach");
  EXPECT_TRUE(read_only());
  EXPECT_EQ(name(its->lock.try_lock()), "cannot_attach");
  EXPECT_EQ(name(its->lock.unlock()), "not_owner");
  EXPECT_FALSE(its->lock.mark_consistent());
  EXPECT_EQ(name(its->table.lock()), "cannot_attach");
  EXPECT_EQ(name(its->table.lock_shared()), "cannot_attach");
  EXPECT_EQ(name(its->table.try_lock_shared()), "cannot_attach");
  EXPECT_EQ(name(its->table.unlock_shared()), "not_owner");
  EXPECT_EQ(name(its->permits.acquire()), "cannot_attach");
  EXPECT_EQ(name(its->permits.try_acquire()), "cannot_attach");
  EXPECT_EQ(name(its->permits.release()), "not_owner");
  EXPECT_TRUE(read_only());
}

// Both mappings of one file in one process: each lock belongs to the mapping that it is reached by.
TEST_F(region_read_only, process_that_writes_may_also_have_it_read_only) {
  region shared = region::create(path.c_str(), {.size = 4096, .members = 4});
  auto* data = shared.find_or_construct<board>("board");
  read_only_region seen = read_only_region::open(path.c_str());
  ASSERT_EQ(name(seen.status()), "open");
  const board* its = seen.find<board>("board");
  EXPECT_NE(its, data);
  ASSERT_EQ(name(data->lock.lock()), "acquired");
  data->value = 3;
  EXPECT_EQ(its->value, 3u);
  EXPECT_EQ(name(const_cast<board*>(its)->lock.unlock()), "not_owner");
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(its->value == 3);
              CHILD_EXPECT(name(data->lock.try_lock()) == "busy");
            }),
            exited(0));
  shared.close();
  EXPECT_EQ(its->value, 3u);
  region again = region::open(path.c_str());
  EXPECT_EQ(name(again.find<board>("board")->lock.lock()), "owner_died") << "close() abandoned it";
}

TEST_F(region_read_only, descriptor_that_may_only_be_read_opens_it) {
  region shared = region::create(path.c_str(), {.size = 4096, .members = 4});
  ASSERT_NE(shared.find_or_construct<std::uint64_t>("number", 7u), nullptr);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(name(region::open_descriptor(descriptor).status()), "open") << "root opens it anew";
  const read_only_region seen = read_only_region::open_descriptor(descriptor);
  EXPECT_EQ(close(descriptor), 0) << "it is the caller's";
  ASSERT_EQ(name(seen.status()), "open");
  EXPECT_EQ(*seen.find<std::uint64_t>("number"), 7u);
  EXPECT_EQ(name(read_only_region::open_descriptor(-1).status()), "system_error");
}

TEST_F(region_read_only, what_is_no_region_is_refused_as_by_open) {
  EXPECT_EQ(name(read_only_region::open(path.c_str()).status()), "not_found");
  EXPECT_EQ(name(read_only_region::open("/proc/self/exe").status()), "not_a_region");
  EXPECT_EQ(name(read_only_region::open(directory.c_str()).status()), "not_a_region");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(name(read_only_region::open(path.c_str()).status()), "not_a_region");
  unlink(path.c_str());
  region::create(path.c_str(), {.size = 64, .members = 1}).close();
  ASSERT_EQ(truncate(path.c_str(), 8192), 0);
  EXPECT_EQ(name(read_only_region::open(path.c_str()).status()), "truncated");
}

// A read_only_region is no user: the file of an unusable region is replaced, and is_at() says so.
TEST_F(region_read_only, reader_keeps_no_file_from_being_replaced) {
  region::create(path.c_str(), {.size = 64, .members = 1}).close();
  const read_only_region seen = read_only_region::open(path.c_str());
  ASSERT_EQ(truncate(path.c_str(), 100), 0);
  const region made = region::open_or_replace(path.c_str(), {.size = 64, .members = 1});
  EXPECT_EQ(name(made.status()), "open");
  EXPECT_FALSE(seen.is_at(path.c_str()));
}

} // namespace
} // namespace deadbolt::testing
