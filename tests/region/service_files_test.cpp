// SPDX-License-Identifier: MIT
// The file: created under signals, removed, replaced, another user's, handed over.
#include <service_support.hpp>

#include <base/file.hpp>

#include <csignal>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <sys/time.h>
#include <vector>

namespace deadbolt::testing {
namespace {

TEST_F(region_service, dangling_symbolic_link_is_an_error_at_once) {
  ASSERT_EQ(symlink("/nonexistent/deadbolt", path.c_str()), 0);
  // Were it allocated again and again, this would take minutes.
  region none = region::open_or_create(path.c_str(), {.size = std::size_t{1} << 30});
  EXPECT_EQ(name(none.status()), "system_error");
  EXPECT_EQ(none.error(), ENOENT);
}

TEST_F(region_service, creation_goes_on_under_a_fast_timer) {
  EXPECT_EQ(run_in_child([&] {
              struct sigaction action {};
              action.sa_handler = [](int) {};
              sigaction(SIGALRM, &action, nullptr);
              const itimerval timer{.it_interval = {.tv_sec = 0, .tv_usec = 200},
                                    .it_value = {.tv_sec = 0, .tv_usec = 200}};
              setitimer(ITIMER_REAL, &timer, nullptr);
              for (int i = 0; i < 5; ++i) {
                const region made = region::create(path.c_str(), {.size = 16 << 20});
                CHILD_EXPECT(static_cast<bool>(made));
                unlink(path.c_str());
              }
            }),
            exited(0));
}

TEST_F(region_service, removed_or_replaced_file_is_noticed) {
  region shared = create();
  EXPECT_TRUE(shared.is_at(path.c_str()));
  unlink(path.c_str());
  EXPECT_FALSE(shared.is_at(path.c_str()));
  region next = region::open_or_create(path.c_str(), small);
  EXPECT_TRUE(next);
  EXPECT_TRUE(next.is_at(path.c_str()));
  EXPECT_FALSE(shared.is_at(path.c_str()));
  shared.close();
  EXPECT_FALSE(shared.is_at(path.c_str()));
}

void damage(const std::string& path) {
  const base::descriptor file{base::open_file(path.c_str(), O_RDWR)};
  const char wrong = 'x';
  ASSERT_EQ(pwrite(file.get(), &wrong, 1, 60), 1);
}

TEST_F(region_service, unusable_file_is_replaced_by_one_of_many_and_never_while_it_is_used) {
  region_of<board> report;
  for (int round = 0; round < 10; ++round) {
    create().close();
    damage(path);
    EXPECT_EQ(name(region::open_or_create(path.c_str(), small).status()), "damaged");
    std::vector<std::unique_ptr<child_process>> racers;
    for (int i = 0; i < 6; ++i) {
      racers.push_back(std::make_unique<child_process>([&] {
        region own = region::open_or_replace(path.c_str(), small);
        // A racer that finds another one at work may be told so.
        while (own.status() == region_status::in_use) {
          own = region::open_or_replace(path.c_str(), small);
        }
        CHILD_EXPECT(own.status() == region_status::open);
        CHILD_EXPECT(own.is_at(path.c_str()));
        ++*own.at<std::atomic<std::uint32_t>>(offsetof(board, number));
      }));
    }
    for (const auto& racer : racers) EXPECT_EQ(racer->wait(), exited(0));
    region result = region::open(path.c_str());
    ASSERT_TRUE(result);
    EXPECT_EQ(result.at<board>(0)->number, 6U) << "all in one region";
    damage(path);
    EXPECT_EQ(run_in_child([&] {
                region other = region::open_or_replace(path.c_str(), small);
                CHILD_EXPECT(other.status() == region_status::in_use);
              }),
              exited(0));
    result.close();
    unlink(path.c_str());
  }
}

TEST_F(region_service, file_of_an_untrusted_owner_is_refused_in_a_public_directory) {
  if (!is_root()) GTEST_SKIP() << "another user's file needs root";
  ASSERT_EQ(chmod(directory.c_str(), 01777), 0);
  ASSERT_EQ(run_in_child([&] {
              become_nobody();
              const region made =
                  region::create(path.c_str(), {.size = 4096, .members = 4, .mode = 0666});
              CHILD_EXPECT(static_cast<bool>(made));
            }),
            exited(0));
  EXPECT_EQ(name(region::open_or_create(path.c_str(), small).status()), "untrusted_owner");
  region_options trusting = small;
  trusting.any_owner = true;
  EXPECT_EQ(name(region::open_or_create(path.c_str(), trusting).status()), "open");
  EXPECT_EQ(name(region::open(path.c_str()).status()), "open") << "named on purpose";
  // Nobody's own directory is not public.
  ASSERT_EQ(chown(directory.c_str(), nobody, nobody), 0);
  EXPECT_EQ(name(region::open_or_create(path.c_str(), small).status()), "open");
}

TEST_F(region_service, descriptor_opens_the_region_for_another_user) {
  if (!is_root()) GTEST_SKIP() << "another user needs root";
  const std::string empty = directory + "/empty";
  ASSERT_EQ(mkdir(empty.c_str(), 0755), 0);
  for (const bool is_memfd : {false, true}) {
    region shared = is_memfd ? region::create_anonymous("deadbolt-test", small) : create();
    for (const bool has_own : {false, true}) {
      for (const bool has_proc : {true, false}) {
        const int handed = shared.new_descriptor();
        const int own = has_own ? shared.new_descriptor() : -1;
        ASSERT_GE(handed, 0);
        EXPECT_EQ(run_in_child([&] {
                    shared.close();
                    if (!has_proc) leave_all_names(empty);
                    become_nobody();
                    region received = region::open_descriptor(handed, own);
                    CHILD_EXPECT(received.status() == region_status::open);
                    expect_usable(*received.at<board>(0));
                    CHILD_EXPECT(name(received.at<board>(0)->lock.lock()) == "acquired");
                    CHILD_EXPECT(regions::has_membership_lock(slot_at(received, 0).process) ==
                                 (has_own || (is_memfd && has_proc)));
                    raise(SIGKILL);
                  }),
                  killed_by(SIGKILL))
            << is_memfd << has_own << has_proc;
        EXPECT_EQ(name(shared.at<board>(0)->lock.lock()), "owner_died");
        shared.at<board>(0)->lock.mark_consistent();
        EXPECT_EQ(name(shared.at<board>(0)->lock.unlock()), "released");
        EXPECT_TRUE(shared.detach());
        close(handed);
        close(own);
      }
    }
    shared.close();
    unlink(path.c_str());
  }
  rmdir(empty.c_str());
}

} // namespace
} // namespace deadbolt::testing
