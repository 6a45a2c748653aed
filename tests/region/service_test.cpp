// SPDX-License-Identifier: MIT
// Regions after privileges, descriptors, /proc, names and pthread keys are gone.
#include <service_support.hpp>
#include <stepped_child.hpp>

#include <base/file.hpp>

#include <cstdio>
#include <fcntl.h>
#include <functional>
#include <pthread.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <vector>

namespace deadbolt::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__)
// UBSan asks by a pipe whether memory is readable, and reports an error where it gets none.
constexpr bool needs_free_descriptors = true;
#else
constexpr bool needs_free_descriptors = false;
#endif

// What the process loses between the open and its first lock, and how.
struct loss {
  const char* what;
  bool needs_root;
  std::function<void(const std::string& directory)> happens;
};

const loss losses[] = {
    {"privileges", true, [](const std::string&) { become_nobody(); }},
    {"all descriptors", false,
     [](const std::string&) { CHILD_EXPECT(close_range(3, ~0U, 0) == 0); }},
    {"free descriptors", false, [](const std::string&) { fill_descriptor_table(); }},
    {"names and /proc", true, [](const std::string& directory) { leave_all_names(directory); }},
    {"pthread keys", false,
     [](const std::string&) {
       pthread_key_t key;
       while (pthread_key_create(&key, nullptr) == 0) {
       }
     }},
};

TEST_F(region_service, membership_needs_nothing_that_a_service_gives_up) {
  const std::string empty = directory + "/empty";
  ASSERT_EQ(mkdir(empty.c_str(), 0755), 0);
  for (const bool is_memfd : {false, true}) {
    for (const loss& lost : losses) {
      if (lost.needs_root && !is_root()) {
        std::printf("not root: not tried: the loss of %s\n", lost.what);
        continue;
      }
      if (needs_free_descriptors && lost.what == std::string_view{"free descriptors"}) {
        std::printf("UndefinedBehaviorSanitizer: not tried: the loss of %s\n", lost.what);
        continue;
      }
      region shared = is_memfd ? region::create_anonymous("deadbolt-test", small) : create();
      ASSERT_TRUE(shared);
      board& data = *shared.at<board>(0);
      // It opened the region itself, or its parent did.
      for (const bool forks : {false, true}) {
        if (!forks && is_memfd) continue;
        EXPECT_EQ(run_in_child([&] {
                    region own;
                    board* mine = &data;
                    if (!forks) {
                      shared.close();
                      own = region::open(path.c_str());
                      mine = own.at<board>(0);
                    }
                    lost.happens(empty);
                    expect_usable(*mine);
                    CHILD_EXPECT(name(mine->other.lock()) == "acquired");
                    raise(SIGKILL);
                  }),
                  killed_by(SIGKILL))
            << lost.what << (is_memfd ? ", memfd" : "") << (forks ? ", forked" : "");
        EXPECT_EQ(name(data.other.lock()), "owner_died") << lost.what;
        data.other.mark_consistent();
        EXPECT_EQ(name(data.other.unlock()), "released");
      }
      shared.close();
      unlink(path.c_str());
    }
  }
  rmdir(empty.c_str());
}

TEST_F(region_service, children_of_a_fork_have_membership_locks_of_their_own) {
  region shared = create();
  ASSERT_EQ(name(shared.attach()), "attached");
  const regions::process_id mine = slot_at(shared, 0).process;
  EXPECT_TRUE(regions::has_membership_lock(mine));
  EXPECT_EQ(run_in_child([&] {
              if (is_root()) become_nobody();
              CHILD_EXPECT(name(shared.attach()) == "attached");
              const regions::process_id own = slot_at(shared, 1).process;
              CHILD_EXPECT(regions::has_membership_lock(own) && own != mine);
              // Its child may not open the file, and is known by its PID alone.
              CHILD_EXPECT(run_in_child([&] { expect_usable(*shared.at<board>(0)); }) == exited(0));
            }),
            exited(0));
}

bool is_locked(const region& shared, regions::process_id process) {
  return base::look_for_lock(shared.descriptor(), static_cast<std::int64_t>(process), 1) ==
         base::lock_state::held;
}

TEST_F(region_service, membership_lock_goes_with_its_process_and_not_with_its_child) {
  region_of<board> report;
  region shared = create();
  child_process owner{[&] {
    CHILD_EXPECT(name(shared.attach()) == "attached");
    const pid_t child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
      for (;;) pause();
    }
    report->number = static_cast<std::uint32_t>(child);
    report->held.open();
    for (;;) pause();
  }};
  report->held.pass("the owner");
  const regions::process_id process = slot_at(shared, 0).process;
  EXPECT_TRUE(is_locked(shared, process));
  owner.kill();
  EXPECT_EQ(owner.wait(), killed_by(SIGKILL));
  await("the lock's end", [&] { return !is_locked(shared, process); });
  kill(static_cast<pid_t>(report->number.load()), SIGKILL);
}

TEST_F(region_service, closing_leaves_other_files_of_the_same_number_alone) {
  EXPECT_EQ(run_in_child([&] {
              region shared = create();
              const int number = shared.descriptor();
              CHILD_EXPECT(number > STDERR_FILENO);
              const int log = open("/dev/null", O_WRONLY);
              CHILD_EXPECT(dup2(log, number) == number && close(log) == 0);
              expect_usable(*shared.at<board>(0));
              shared.close();
              CHILD_EXPECT(write(number, "line\n", 5) == 5);
            }),
            exited(0));
}

TEST_F(region_service, descriptors_are_never_standard_ones) {
  EXPECT_EQ(run_in_child([&] {
              close(0);
              close(1);
              close(2);
              region shared = region::create(path.c_str(), small);
              if (!shared || shared.descriptor() <= 2 || fcntl(2, F_GETFD) != -1) _exit(1);
              region memory = region::create_anonymous("deadbolt-test", small);
              if (memory.descriptor() <= 2) _exit(2);
              // A thread that exits after the close must not open anything either.
              std::thread{[&] {
                static_cast<void>(memory.attach());
                memory.close();
              }}.join();
              if (fcntl(0, F_GETFD) != -1 || fcntl(1, F_GETFD) != -1) _exit(3);
            }),
            exited(0));
}

TEST_F(region_service, mode_of_a_new_file_is_the_one_asked_for) {
  const mode_t before = umask(077);
  region shared = region::create(path.c_str(), {.size = 1, .members = 1, .mode = 0666});
  umask(before);
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0666U);
}

TEST_F(region_service, small_region_takes_little_memory) {
  region shared = create({.size = 4096});
  struct stat status {};
  ASSERT_EQ(fstat(shared.descriptor(), &status), 0);
  EXPECT_EQ(shared.members(), 1024U);
  EXPECT_LE(status.st_blocks * 512, 64 << 10);
}

bool has_populate_write() {
  constexpr int populate_write = 23; // Linux 5.14
  alignas(4096) char page[4096];
  return madvise(page, sizeof page, populate_write) == 0;
}

TEST_F(region_service, full_file_system_is_an_error_and_not_a_signal) {
  if (!is_root()) GTEST_SKIP() << "a file system of its own needs root";
  for (const bool has_descriptor : {true, false}) {
    if (!has_descriptor && !has_populate_write()) continue;
    EXPECT_EQ(run_in_child([&] {
                CHILD_EXPECT(unshare(CLONE_NEWNS) == 0);
                CHILD_EXPECT(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
                CHILD_EXPECT(mount("none", directory.c_str(), "tmpfs", 0, "size=256k") == 0);
                region shared = region::create(path.c_str(), {.size = 4096, .members = 100});
                CHILD_EXPECT(static_cast<bool>(shared));
                if (!has_descriptor) CHILD_EXPECT(close_range(3, ~0U, 0) == 0);
                std::vector<std::thread> threads;
                std::atomic<int> full{0};
                std::atomic<int> looked{0};
                for (int i = 0; i < 99; ++i) {
                  threads.emplace_back([&] {
                    if (shared.attach() == attach_status::system_error) {
                      CHILD_EXPECT(errno == ENOSPC && last_attach_failure().error == ENOSPC);
                      ++full;
                    }
                    ++looked;
                    await("the others", [&] { return looked == 99; });
                  });
                }
                for (std::thread& thread : threads) thread.join();
                CHILD_EXPECT(full > 10 && full < 90);
                region none = region::create((path + "2").c_str(), {.size = 1 << 20});
                CHILD_EXPECT(none.error() == ENOSPC);
              }),
              exited(0))
        << (has_descriptor ? "" : "without a descriptor");
  }
}

} // namespace
} // namespace deadbolt::testing
