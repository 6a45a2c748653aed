// SPDX-License-Identifier: MIT
// Where a membership lock could end before its process, or outlive it.
#include <deadbolt/condition_variable.hpp>
#include <overlay_mount.hpp>
#include <region_support.hpp>
#include <seccomp_filter.hpp>

#include <base/file.hpp>
#include <base/membarrier.hpp>
#include <region/bias.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

namespace deadbolt::testing {
namespace {

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  gate held;
  gate end;
};

constexpr region_options small{.size = sizeof(board), .members = 8};

// A directory of the test's own in /dev/shm.
class region_membership_lock : public ::testing::Test {
protected:
  region_membership_lock() {
    std::string pattern = "/dev/shm/deadbolt-membership-lock-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    directory = pattern;
    path = directory + "/region";
  }
  ~region_membership_lock() override { std::filesystem::remove_all(directory); }

  std::string directory;
  std::string path;
};

// The root file system of most containers. A mapping of its files does not keep their open file
// descriptions.
TEST_F(region_membership_lock, live_owner_keeps_its_lock_on_an_overlay_file_system) {
  if (geteuid() != 0) GTEST_SKIP() << "a mount namespace needs root";
  EXPECT_EQ(run_in_child([&] {
              const std::string file = mount_overlay(directory) + "/region";
              region shared = region::create(file.c_str(), small);
              CHILD_EXPECT(shared.status() == region_status::open);
              board& data = *shared.at<board>(0);
              CHILD_EXPECT(name(data.lock.lock()) == "acquired");
              CHILD_EXPECT(run_in_child([&] {
                             shared.close();
                             region own = region::open(file.c_str());
                             CHILD_EXPECT(own.status() == region_status::open);
                             CHILD_EXPECT(name(own.at<board>(0)->lock.try_lock()) == "busy");
                           }) == exited(0));
              CHILD_EXPECT(name(data.lock.unlock()) == "released");
              CHILD_EXPECT(run_in_child([&] {
                             CHILD_EXPECT(name(data.lock.lock()) == "acquired");
                             raise(SIGKILL);
                           }) == killed_by(SIGKILL));
              CHILD_EXPECT(name(data.lock.lock()) == "owner_died");
            }),
            exited(0));
}

// The program closed the region's descriptor, and its number is another file's now. Opening a
// device, a terminal or a pipe anew has effects.
TEST_F(region_membership_lock, fork_opens_no_file_that_has_the_number_of_a_lost_descriptor) {
  const std::string other = directory + "/other";
  EXPECT_EQ(run_in_child([&] {
              region shared = region::create(path.c_str(), small);
              const int file = open(other.c_str(), O_RDWR | O_CREAT, 0600);
              CHILD_EXPECT(dup2(file, shared.descriptor()) == shared.descriptor());
              const int opens = inotify_init1(IN_NONBLOCK);
              CHILD_EXPECT(inotify_add_watch(opens, other.c_str(), IN_OPEN) >= 0);
              CHILD_EXPECT(run_in_child([&] {
                             CHILD_EXPECT(name(shared.attach()) == "attached");
                           }) == exited(0));
              char event[512];
              CHILD_EXPECT(read(opens, event, sizeof event) < 0 && errno == EAGAIN);
            }),
            exited(0));
  unlink(other.c_str());
}

// Of the descriptors of the calling process, how many hold a lock by their description.
int descriptors_with_locks() {
  int count = 0;
  for (int number = 0; number < 256; ++number) {
    const std::string info = "/proc/self/fdinfo/" + std::to_string(number);
    const base::descriptor file{base::open_file(info.c_str(), O_RDONLY)};
    char text[4096] = {};
    if (file && read(file.get(), text, sizeof text - 1) > 0 &&
        std::strstr(text, "OFDLCK") != nullptr) {
      ++count;
    }
  }
  return count;
}

TEST_F(region_membership_lock, child_of_a_fork_during_an_open_does_not_keep_its_parents_lock) {
  region::create(path.c_str(), small).close();
  region_of<board> report;
  EXPECT_EQ(run_in_child([&] {
              std::atomic<bool> over{false};
              std::thread opener{[&] {
                while (!over) {
                  region own = region::open(path.c_str());
                  CHILD_EXPECT(static_cast<bool>(own));
                }
              }};
              std::vector<std::unique_ptr<child_process>> children;
              for (int i = 0; i < 40; ++i) {
                children.push_back(std::make_unique<child_process>([&] {
                  report->end.pass("the last open");
                  CHILD_EXPECT(descriptors_with_locks() == 0);
                }));
              }
              over = true;
              opener.join();
              report->end.open();
              for (const auto& child : children) CHILD_EXPECT(child->wait() == exited(0));
            }),
            exited(0));
}

// Other processes have this open file description too. A lock of it would be invisible to them,
// and they would take this process for dead.
TEST_F(region_membership_lock, description_that_is_shared_is_not_locked) {
  region shared = region::create_anonymous("deadbolt-test", small);
  board& data = *shared.at<board>(0);
  const int twice = dup(shared.descriptor());
  child_process owner{[&] {
    const int received = dup(shared.descriptor());
    CHILD_EXPECT(shared.close());
    region own = region::open_descriptor(received, twice);
    CHILD_EXPECT(own.status() == region_status::open);
    board& mine = *own.at<board>(0);
    CHILD_EXPECT(name(mine.lock.lock()) == "acquired");
    mine.held.open();
    mine.end.pass("the look");
    CHILD_EXPECT(name(mine.lock.unlock()) == "released");
  }};
  close(twice);
  data.held.pass("the owner");
  EXPECT_EQ(name(data.lock.try_lock()), "busy");
  data.end.open();
  EXPECT_EQ(owner.wait(), exited(0));
}

TEST_F(region_membership_lock, region_is_created_without_proc) {
  if (geteuid() != 0) GTEST_SKIP() << "chroot needs root";
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(chroot(directory.c_str()) == 0 && chdir("/") == 0);
              region made = region::create("/region", small);
              CHILD_EXPECT(made.status() == region_status::open);
              CHILD_EXPECT(name(made.attach()) == "attached");
              CHILD_EXPECT(regions::has_membership_lock(slot_at(made, 0).process));
            }),
            exited(0));
}

void damage(const std::string& path) {
  const base::descriptor file{base::open_file(path.c_str(), O_RDWR)};
  const char wrong = 'x';
  CHILD_EXPECT(pwrite(file.get(), &wrong, 1, 60) == 1);
}

// Else processes that use the one name and the other would be in different regions.
TEST_F(region_membership_lock, replacing_through_a_symbolic_link_replaces_its_file) {
  const std::string link = directory + "/link";
  ASSERT_EQ(symlink("region", link.c_str()), 0);
  region::create(path.c_str(), small).close();
  damage(path);
  const region made = region::open_or_replace(link.c_str(), small);
  EXPECT_EQ(name(made.status()), "open");
  EXPECT_TRUE(made.is_at(path.c_str()));
  EXPECT_TRUE(made.is_at(link.c_str()));
  unlink(link.c_str());
}

// A replacer must not remove the temporary file of a creator that is about to give it its name.
TEST_F(region_membership_lock, replacer_removes_files_of_killed_creators_alone) {
  const std::string left = path + ".0123456789abcdef.new";
  const std::string others[] = {path + ".0123456789abcdeg.new", path + ".0123456789abcdef.new2",
                                directory + "/another.0123456789abcdef.new"};
  for (const std::string& other : others) {
    EXPECT_TRUE(base::descriptor{base::open_file(other.c_str(), O_RDWR | O_CREAT, 0600)});
  }
  const auto replace = [&] {
    region::create(path.c_str(), small).close();
    damage(path);
    EXPECT_EQ(name(region::open_or_replace(path.c_str(), small).status()), "open");
    unlink(path.c_str());
  };
  region_of<board> report;
  child_process creator{[&] {
    const base::descriptor file{base::open_file(left.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600)};
    CHILD_EXPECT(base::try_lock_byte(file.get(), regions::creation_lock) == 0);
    report->held.open();
    for (;;) pause();
  }};
  report->held.pass("the creator");
  replace();
  EXPECT_EQ(access(left.c_str(), F_OK), 0) << "its creator lives";
  creator.kill();
  EXPECT_EQ(creator.wait(), killed_by(SIGKILL));
  replace();
  EXPECT_NE(access(left.c_str(), F_OK), 0) << "its creator is dead";
  for (const std::string& other : others) EXPECT_EQ(unlink(other.c_str()), 0) << other;
}

// A program that closed all its descriptors opens the region again, so that it can see other
// processes' membership locks again.
TEST_F(region_membership_lock, opening_again_replaces_a_lost_descriptor) {
  EXPECT_EQ(run_in_child([&] {
              region shared = region::create(path.c_str(), small);
              close(shared.descriptor());
              region again = region::open(path.c_str());
              CHILD_EXPECT(again.data() == shared.data());
              struct stat status {};
              CHILD_EXPECT(fstat(again.descriptor(), &status) == 0);
              again.close();
              CHILD_EXPECT(fstat(shared.descriptor(), &status) == 0);
            }),
            exited(0));
}

TEST_F(region_membership_lock, file_in_use_whose_users_cannot_be_seen_is_not_replaced) {
  if (geteuid() != 0) GTEST_SKIP() << "a mount namespace needs root";
  EXPECT_EQ(run_in_child([&] {
              const std::string file = mount_overlay(directory) + "/region";
              region shared = region::create(file.c_str(), small);
              CHILD_EXPECT(shared.status() == region_status::open);
              damage(file);
              CHILD_EXPECT(run_in_child([&] {
                             const region own = region::open_or_replace(file.c_str(), small);
                             CHILD_EXPECT(own.status() == region_status::in_use);
                           }) == exited(0));
              CHILD_EXPECT(shared.is_at(file.c_str()));
            }),
            exited(0));
}

// A copy of the region as a power cut or cp(1) can leave it: slot 0's page is older than the page
// of the locks, by so many members of the slot.
base::descriptor copy_with_older_slot(region& original, const std::string& copy,
                                      std::uint64_t members) {
  base::descriptor file{base::open_file(copy.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600)};
  const regions::open_region& mapping = *regions::region_at(original.data());
  const std::byte* bytes = mapping.base;
  EXPECT_EQ(write(file.get(), bytes, mapping.length), static_cast<ssize_t>(mapping.length));
  const std::uint64_t older = slot_at(original, 0).generation - members;
  EXPECT_EQ(pwrite(file.get(), &older, sizeof older, static_cast<off_t>(mapping.slot_offset(0))),
            static_cast<ssize_t>(sizeof older));
  return file;
}

// As another process that opens the file at the same time has one.
constexpr std::uint64_t other_lock_byte = (std::uint64_t{1} << 61) + 12345;
bool take_other_membership_lock(const base::descriptor& file) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_start = off_t{other_lock_byte};
  lock.l_len = 1;
  return fcntl(file.get(), F_OFD_SETLK, &lock) == 0;
}

TEST_F(region_membership_lock, adopted_file_gives_no_lock_to_a_member_that_never_took_it) {
  constexpr region_options one_member{.size = sizeof(board), .members = 1};
  for (const bool two_openers : {false, true}) {
    for (const std::uint64_t members : {1U, (1U << 20) + 1, 1U << 30}) {
      SCOPED_TRACE(std::to_string(members) + (two_openers ? " members, two openers" : " members"));
      const std::string original = path + std::to_string(members) + (two_openers ? "b" : "a");
      const std::string copy = original + ".copy";
      base::descriptor file;
      {
        region shared = region::create(original.c_str(), one_member);
        ASSERT_EQ(name(shared.attach()), "attached");
        ASSERT_TRUE(shared.detach());
        slot_at(shared, 0).generation = std::uint64_t{1} << 40;
        ASSERT_EQ(name(shared.attach()), "attached");
        ASSERT_EQ(name(shared.at<board>(0)->lock.lock()), "acquired");
        file = copy_with_older_slot(shared, copy, members);
        ASSERT_EQ(name(shared.at<board>(0)->lock.unlock()), "released");
      }
      ASSERT_TRUE(!two_openers || take_other_membership_lock(file));
      region adopted = region::open(copy.c_str());
      ASSERT_EQ(name(adopted.status()), "open");
      ASSERT_EQ(name(adopted.attach()), "attached");
      EXPECT_EQ(name(adopted.at<board>(0)->lock.try_lock()), "owner_died");
    }
  }
}

// Another opener stands still with the slot's claim while this one marks and skips.
TEST_F(region_membership_lock, adopted_slot_that_another_opener_has_claimed_is_skipped_too) {
  const std::string copy = path + ".copy";
  region shared = region::create(path.c_str(), {.size = sizeof(board), .members = 1});
  ASSERT_EQ(name(shared.attach()), "attached");
  ASSERT_TRUE(shared.detach());
  slot_at(shared, 0).generation = std::uint64_t{1} << 40;
  ASSERT_EQ(name(shared.attach()), "attached");
  ASSERT_EQ(name(shared.at<board>(0)->lock.lock()), "acquired");
  const base::descriptor file = copy_with_older_slot(shared, copy, 1);
  ASSERT_EQ(name(shared.at<board>(0)->lock.unlock()), "released");
  ASSERT_TRUE(take_other_membership_lock(file));
  const regions::open_region& mapping = *regions::region_at(shared.data());
  const auto claim =
      static_cast<off_t>(mapping.slot_offset(0) + offsetof(regions::member_slot, claim));
  const std::uint64_t other = other_lock_byte;
  ASSERT_EQ(pwrite(file.get(), &other, sizeof other, claim), ssize_t{sizeof other});
  region adopted = region::open(copy.c_str());
  ASSERT_EQ(name(adopted.status()), "open");
  slot_at(adopted, 0).claim = regions::no_process;
  ASSERT_EQ(name(adopted.attach()), "attached");
  EXPECT_EQ(name(adopted.at<board>(0)->lock.try_lock()), "owner_died");
}

// A mutex that is biased to the dead member keeps the slot as it is until the bias is revoked.
TEST_F(region_membership_lock, adopted_slot_that_a_bias_keeps_is_skipped_when_it_is_taken) {
  if (base::barrier_everywhere() != 0) GTEST_SKIP() << "membarrier is refused here";
  const std::string copy = path + ".copy";
  {
    region shared = region::create(path.c_str(), {.size = sizeof(board), .members = 2});
    ASSERT_EQ(name(shared.attach()), "attached");
    board& locks = *shared.at<board>(0);
    for (std::uint32_t i = 0; i < 4 * regions::takes_before_bias; ++i) {
      ASSERT_EQ(name(locks.other.lock()), "acquired");
      ASSERT_EQ(name(locks.other.unlock()), "released");
    }
    ASSERT_TRUE(regions::is_biased(word_of(locks.other)));
    ASSERT_EQ(name(locks.other.lock()), "acquired");
    // The word of `lock` is of the slot's next member, whose page the copy does not have.
    const std::uint64_t next = regions::owner_id(0, slot_at(shared, 0).generation + 1);
    __atomic_store_n(const_cast<std::uint64_t*>(locks.lock.native_handle()), next,
                     __ATOMIC_RELAXED);
    copy_with_older_slot(shared, copy, 0);
    __atomic_store_n(const_cast<std::uint64_t*>(locks.lock.native_handle()), std::uint64_t{0},
                     __ATOMIC_RELAXED);
    ASSERT_EQ(name(locks.other.unlock()), "released");
  }
  region adopted = region::open(copy.c_str());
  ASSERT_EQ(name(adopted.status()), "open");
  board& locks = *adopted.at<board>(0);
  ASSERT_EQ(name(adopted.attach()), "attached"); // slot 1
  ASSERT_EQ(name(locks.other.lock()), "owner_died") << "the bias's announcement was forgotten";
  ASSERT_TRUE(locks.other.mark_consistent());
  ASSERT_EQ(name(locks.other.unlock()), "released");
  std::thread{[&] {
    ASSERT_EQ(name(adopted.attach()), "attached"); // slot 0
    EXPECT_EQ(name(locks.lock.try_lock()), "owner_died");
  }}.join();
}

TEST_F(region_membership_lock, condition_variable_waits_where_a_sandbox_refuses_futexes) {
  struct condition {
    deadbolt::mutex lock;
    deadbolt::condition_variable changed;
    gate waits;
    bool done;
  };
  region_of<condition> shared;
  child_process waiter{[&] {
    CHILD_EXPECT(name(shared->lock.lock()) == "acquired");
    CHILD_EXPECT(refuse_system_call(SYS_futex, SECCOMP_RET_ERRNO | EACCES));
    shared->waits.open();
    while (!shared->done) {
      const wait_status status = shared->changed.wait(shared->lock).status();
      CHILD_EXPECT(status == wait_status::awake);
    }
    CHILD_EXPECT(name(shared->lock.unlock()) == "released");
  }};
  shared->waits.pass("the waiter");
  ASSERT_EQ(name(shared->lock.lock()), "acquired");
  shared->done = true;
  ASSERT_EQ(name(shared->lock.unlock()), "released");
  shared->changed.notify_all();
  EXPECT_EQ(waiter.wait(), exited(0));
}

} // namespace
} // namespace deadbolt::testing
