// SPDX-License-Identifier: MIT
// Regions where services run: after privileges, descriptors, /proc and the main thread are gone, in
// containers, with memory that the kernel reaped, and beside users that are not trusted.
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <region_support.hpp>
#include <seccomp_filter.hpp>
#include <stepped_child.hpp>

#include <base/file.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <memory>
#include <pthread.h>
#include <string>
#include <string_view>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <thread>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  deadbolt::shared_mutex shared_lock;
  deadbolt::counting_semaphore<2> permits{2};
  gate held;
  gate go;
  std::atomic<std::uint32_t> number;
};

constexpr region_options small{.size = sizeof(board), .members = 8};
constexpr uid_t nobody = 65534;

// A directory of the test's own in /dev/shm.
class region_service : public ::testing::Test {
protected:
  region_service() {
    const std::string prefix = "deadbolt-region-service-";
    // What tests that were killed have left.
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", error)) {
      const std::string file = entry.path().filename();
      if (!file.starts_with(prefix)) continue;
      const int pid = std::atoi(file.c_str() + prefix.size());
      if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH)
        std::filesystem::remove_all(entry.path(), error);
    }
    std::string pattern = "/dev/shm/" + prefix + std::to_string(getpid()) + "-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    directory = pattern;
    path = directory + "/region";
  }
  ~region_service() override {
    unlink(path.c_str());
    rmdir(directory.c_str());
  }

  [[nodiscard]] region create(const region_options& options = small) const {
    region made = region::create(path.c_str(), options);
    EXPECT_EQ(name(made.status()), "open") << made.error();
    return made;
  }

  std::string directory;
  std::string path;
};

bool is_root() {
  return geteuid() == 0;
}

void become_nobody() {
  CHILD_EXPECT(setgid(nobody) == 0 && setuid(nobody) == 0);
}

// An empty root directory: no /proc, no names.
void leave_all_names(const std::string& directory) {
  CHILD_EXPECT(chroot(directory.c_str()) == 0 && chdir("/") == 0);
  CHILD_EXPECT(access("/proc/self", F_OK) != 0);
}

void fill_descriptor_table() {
  const rlimit few{.rlim_cur = 64, .rlim_max = 64};
  setrlimit(RLIMIT_NOFILE, &few);
  while (dup(0) >= 0) {
  }
  CHILD_EXPECT(errno == EMFILE);
}

// Every lock, by a thread that is not yet a member; and its death is noticed.
void expect_usable(board& data) {
  std::thread{[&] {
    CHILD_EXPECT(name(data.lock.lock()) == "acquired");
    CHILD_EXPECT(name(data.lock.unlock()) == "released");
    CHILD_EXPECT(name(data.shared_lock.lock_shared()) == "acquired");
    CHILD_EXPECT(name(data.shared_lock.unlock_shared()) == "released");
    CHILD_EXPECT(name(data.permits.acquire()) == "acquired");
    CHILD_EXPECT(name(data.permits.release()) == "released");
  }}.join();
}

#if defined(__SANITIZE_ADDRESS__)
// UBSan asks by a pipe whether memory is readable, and reports an error where it gets none.
constexpr bool needs_free_descriptors = true;
#else
constexpr bool needs_free_descriptors = false;
#endif

// Who did what to the process between the open and the first lock.
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

TEST_F(region_service, full_file_system_is_an_error_and_not_a_signal) {
  if (!is_root()) GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(unshare(CLONE_NEWNS) == 0);
              CHILD_EXPECT(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
              CHILD_EXPECT(mount("none", directory.c_str(), "tmpfs", 0, "size=256k") == 0);
              region shared = region::create(path.c_str(), {.size = 4096, .members = 100});
              CHILD_EXPECT(static_cast<bool>(shared));
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
            exited(0));
}

// ---- threads ----

TEST_F(region_service, threads_attach_after_the_main_thread_has_ended) {
  region shared = create();
  board& data = *shared.at<board>(0);
  child_process process{[&] {
    std::thread worker{[&] {
      char state[64];
      await("the main thread's end", [&] {
        char text[256] = {};
        std::snprintf(state, sizeof state, "/proc/%d/task/%d/stat", getpid(), getpid());
        const base::descriptor file{base::open_file(state, O_RDONLY)};
        return read(file.get(), text, sizeof text - 1) <= 0 || std::strstr(text, ") Z ") != nullptr;
      });
      expect_usable(data);
      region again = region::open(path.c_str());
      CHILD_EXPECT(static_cast<bool>(again));
      const std::string second = path + "2";
      region made = region::create(second.c_str(), small);
      unlink(second.c_str());
      CHILD_EXPECT(static_cast<bool>(made));
      CHILD_EXPECT(name(made.attach()) == "attached" && made.detach());
      CHILD_EXPECT(static_cast<bool>(region::create_anonymous("deadbolt-test", small)));
      _exit(0);
    }};
    // As pthread_exit() does after its handlers, which GoogleTest would not let pass.
    syscall(SYS_exit, 0);
  }};
  EXPECT_EQ(process.wait(), exited(0));
}

TEST_F(region_service, thread_that_outlives_a_close_keeps_its_one_slot) {
  create().close();
  region shared;
  gate end;
  std::atomic<int> turn{0};
  constexpr int rounds = 40; // of 8 slots
  std::thread worker{[&] {
    for (int round = 0; round < rounds; ++round) {
      await("the open", [&] { return turn == 2 * round + 1; });
      board& data = *shared.at<board>(0);
      EXPECT_EQ(name(data.lock.lock()), "acquired");
      EXPECT_EQ(name(data.lock.unlock()), "released");
      ++turn;
    }
    end.pass("the last close");
  }};
  for (int round = 0; round < rounds; ++round) {
    shared = region::open(path.c_str());
    ASSERT_TRUE(shared);
    ++turn;
    await("the worker", [&] { return turn == 2 * round + 2; });
    EXPECT_EQ(live_members(shared), 1U) << round;
    shared.close();
  }
  end.open();
  worker.join();
  region after = region::open(path.c_str());
  EXPECT_EQ(live_members(after), 0U) << "the thread's exit frees the slot of a closed region";
}

TEST_F(region_service, locks_held_across_a_close_pass_on_when_their_threads_leave) {
  region shared = create();
  board& data = *shared.at<board>(0);
  region_of<board> report;
  child_process closer{[&] {
    region own = region::open(path.c_str());
    board& mine = *own.at<board>(0);
    shared.close(); // the parent's handle, on the same mapping
    CHILD_EXPECT(name(mine.lock.lock()) == "acquired");
    std::thread other{[&] {
      CHILD_EXPECT(name(mine.other.lock()) == "acquired");
      report->held.open();
      report->go.pass("the end");
    }};
    report->held.pass("the other thread");
    CHILD_EXPECT(own.close());
    report->number = 1;
    other.join();
    // The process lives on: no death of it is what passes the locks on.
    await("the end", [&] { return report->number == 2; });
  }};
  await("the close", [&] { return report->number == 1; });
  EXPECT_EQ(name(data.lock.try_lock_for(10s)), "owner_died") << "the closer's";
  EXPECT_EQ(name(data.other.try_lock()), "busy") << "a thread that lives still holds it";
  report->go.open();
  EXPECT_EQ(name(data.other.try_lock_for(10s)), "owner_died") << "its thread has ended";
  report->number = 2;
  EXPECT_EQ(closer.wait(), exited(0));
}

// Processor time, so that a busy machine does not matter.
TEST_F(region_service, attach_costs_the_same_with_two_thousand_members) {
  constexpr std::uint32_t most = 2048;
  region shared = create({.size = sizeof(board), .members = most});
  std::vector<pthread_t> threads(most);
  static std::atomic<std::int64_t> spent[most];
  static std::atomic<std::uint32_t> attached;
  static std::atomic<bool> end;
  static region* in;
  in = &shared;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  for (std::uint32_t i = 0; i < most; ++i) {
    ASSERT_EQ(pthread_create(
                  &threads[i], &attributes,
                  [](void*) -> void* {
                    const auto cpu_time = [] {
                      timespec time{};
                      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
                      return time.tv_sec * 1'000'000'000 + time.tv_nsec;
                    };
                    const std::int64_t before = cpu_time();
                    EXPECT_EQ(name(in->attach()), "attached");
                    spent[attached++] = cpu_time() - before;
                    end.wait(false);
                    return nullptr;
                  },
                  nullptr),
              0);
    if (i % 64 == 63) await("the attaches", [&] { return attached == i + 1; });
  }
  end = true;
  end.notify_all();
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  std::int64_t first = 0;
  std::int64_t last = 0;
  for (std::uint32_t i = 0; i < most / 8; ++i) {
    first += spent[i];
    last += spent[most - 1 - i];
  }
  std::printf("an attach among the first 256: %lld ns, among the last 256 of 2048: %lld ns\n",
              static_cast<long long>(first / 256), static_cast<long long>(last / 256));
  EXPECT_LT(last, 10 * first);
  EXPECT_EQ(live_members(shared), 0U);
}

deadbolt::mutex* locked_by_fork_handlers = nullptr;

TEST_F(region_service, fork_handlers_of_the_program_may_lock) {
  EXPECT_EQ(run_in_child([&] {
              pthread_atfork([] { static_cast<void>(locked_by_fork_handlers->lock().status()); },
                             [] { static_cast<void>(locked_by_fork_handlers->unlock()); }, [] {});
              // Registered after the program's: runs before, and holds the process's lock.
              region shared = create();
              locked_by_fork_handlers = &shared.at<board>(0)->lock;
              for (const bool is_member : {false, true}) {
                std::thread{[&] {
                  if (is_member) CHILD_EXPECT(name(shared.attach()) == "attached");
                  const pid_t child = fork();
                  if (child == 0) _exit(0);
                  int status = 0;
                  CHILD_EXPECT(waitpid(child, &status, 0) == child && status == 0);
                }}.join();
              }
              expect_usable(*shared.at<board>(0));
            }),
            exited(0));
}

// ---- names and creation ----

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

// ---- handing a region over ----

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

// ---- containers ----

TEST_F(region_service, other_boot_id_does_not_end_a_region_that_is_in_use) {
  if (!is_root()) GTEST_SKIP() << "a mount namespace needs root";
  region shared = create();
  board& data = *shared.at<board>(0);
  ASSERT_EQ(name(data.lock.lock()), "acquired");
  const std::string other_id = directory + "/boot_id";
  {
    const base::descriptor file{base::open_file(other_id.c_str(), O_RDWR | O_CREAT, 0644)};
    ASSERT_EQ(write(file.get(), "01234567-89ab-cdef-0123-456789abcdef\n", 37), 37);
  }
  const auto looks = [&](auto mounts) {
    return run_in_child([&] {
      shared.close();
      CHILD_EXPECT(unshare(CLONE_NEWNS) == 0);
      CHILD_EXPECT(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
      CHILD_EXPECT(mounts() == 0);
      region own = region::open_or_create(path.c_str(), small);
      CHILD_EXPECT(own.status() == region_status::open);
      CHILD_EXPECT(name(own.at<board>(0)->lock.try_lock()) == "busy");
      CHILD_EXPECT(name(own.at<board>(0)->other.lock()) == "acquired");
      CHILD_EXPECT(name(own.at<board>(0)->other.unlock()) == "released");
    });
  };
  EXPECT_EQ(looks([&] {
              return mount(other_id.c_str(), "/proc/sys/kernel/random/boot_id", nullptr, MS_BIND,
                           nullptr);
            }),
            exited(0));
  EXPECT_EQ(looks([&] { return mount("none", "/proc", "proc", 0, "subset=pid"); }), exited(0))
      << "without /proc/sys";
  unlink(other_id.c_str());
}

// What the OOM killer's reaper does, at the one moment that makes it certain: the victim is held
// at its exit, before the walk, by a tracer.
void kill_and_reap_memory(pid_t victim) {
  ASSERT_EQ(ptrace(PTRACE_SEIZE, victim, nullptr, PTRACE_O_TRACEEXIT), 0);
  const int process = static_cast<int>(syscall(SYS_pidfd_open, victim, 0));
  ASSERT_EQ(kill(victim, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(victim, &status, __WALL), victim);
  ASSERT_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
  constexpr long process_mrelease = 448;
  ASSERT_EQ(syscall(process_mrelease, process, 0), 0) << errno;
  close(process);
  ptrace(PTRACE_CONT, victim, nullptr, nullptr);
  while (waitpid(victim, &status, __WALL) == victim && !WIFSIGNALED(status)) {
  }
}

bool has_process_mrelease() {
  return syscall(448, -1, 0) == -1 && errno != ENOSYS;
}

TEST_F(region_service, owner_whose_memory_was_reaped_is_noticed_in_every_pid_namespace) {
  if (!has_process_mrelease()) GTEST_SKIP() << "no process_mrelease (Linux 5.15)";
  region shared = create({.size = sizeof(board), .members = 3});
  board& data = *shared.at<board>(0);
  ASSERT_EQ(name(shared.attach()), "attached");
  for (const bool in_namespace : {false, true}) {
    if (in_namespace && !is_root()) {
      std::printf("not root: not tried in another PID namespace\n");
      continue;
    }
    // More victims than slots: each slot comes back.
    for (int victims = 0; victims < 4; ++victims) {
      region_of<board> report;
      const pid_t victim = in_namespace ? fork_into_pid_namespace() : fork();
      ASSERT_GE(victim, 0);
      if (victim == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        CHILD_EXPECT(name(data.lock.lock()) == "acquired");
        CHILD_EXPECT(name(data.permits.acquire()) == "acquired");
        CHILD_EXPECT(name(data.shared_lock.lock_shared()) == "acquired");
        report->held.open();
        for (;;) pause();
      }
      report->held.pass("the victim");
      EXPECT_EQ(name(data.lock.try_lock()), "busy");
      kill_and_reap_memory(victim);
      ASSERT_EQ(name(data.lock.try_lock_for(10s)), "owner_died") << in_namespace;
      data.lock.mark_consistent();
      ASSERT_EQ(name(data.lock.unlock()), "released");
      EXPECT_EQ(name(data.shared_lock.try_lock_for(10s)), "acquired");
      EXPECT_EQ(name(data.shared_lock.unlock()), "released");
      EXPECT_EQ(name(data.permits.try_acquire()), "acquired");
      EXPECT_EQ(name(data.permits.release()), "released");
    }
  }
}

// ---- users that are not trusted, and sandboxes ----

TEST_F(region_service, lock_of_a_mere_reader_disables_nothing) {
  // Before anybody has a membership lock: those keep such a lock away.
  create({.size = sizeof(board), .members = 8, .mode = 0644}).close();
  region_of<board> report;
  child_process reader{[&] {
    const int file = open(path.c_str(), O_RDONLY);
    struct flock all {};
    all.l_type = F_RDLCK;
    all.l_whence = SEEK_SET;
    CHILD_EXPECT(fcntl(file, F_SETLK, &all) == 0);
    report->held.open();
    for (;;) pause();
  }};
  report->held.pass("the reader's lock");
  region shared = region::open(path.c_str());
  ASSERT_EQ(name(shared.status()), "open");
  board& data = *shared.at<board>(0);
  EXPECT_EQ(name(shared.attach()), "attached");
  EXPECT_FALSE(regions::has_membership_lock(slot_at(shared, 0).process));
  EXPECT_TRUE(shared.detach());
  EXPECT_EQ(run_in_child([&] {
              region own = region::open(path.c_str());
              CHILD_EXPECT(own.status() == region_status::open);
              expect_usable(data);
              CHILD_EXPECT(name(data.lock.lock()) == "acquired");
              raise(SIGKILL);
            }),
            killed_by(SIGKILL));
  EXPECT_EQ(name(data.lock.lock()), "owner_died");
}

TEST_F(region_service, refused_record_locks_leave_a_region_usable) {
  EXPECT_EQ(run_in_child([&] {
              CHILD_EXPECT(refuse_system_call(SYS_fcntl, SECCOMP_RET_ERRNO | ENOLCK));
              region shared = region::create(path.c_str(), small);
              CHILD_EXPECT(static_cast<bool>(shared));
              expect_usable(*shared.at<board>(0));
              CHILD_EXPECT(name(shared.attach()) == "attached");
              CHILD_EXPECT(!regions::has_membership_lock(slot_at(shared, 0).process));
            }),
            exited(0));
}

TEST_F(region_service, whatever_error_a_sandbox_chose_for_futexes_a_waiter_waits) {
  region shared = create();
  board& data = *shared.at<board>(0);
  constexpr long futex_waitv = 449;
  // EACCES, EPERM, ENOSYS, EINVAL, ENOTSUP
  for (const unsigned error : {13U, 1U, 38U, 22U, 95U}) {
    for (const bool plain_too : {false, true}) {
      region_of<board> report;
      ASSERT_EQ(name(data.lock.lock()), "acquired");
      child_process waiter{[&] {
        CHILD_EXPECT(name(shared.attach()) == "attached");
        CHILD_EXPECT(refuse_system_call(futex_waitv, SECCOMP_RET_ERRNO | error));
        if (plain_too) CHILD_EXPECT(refuse_system_call(SYS_futex, SECCOMP_RET_ERRNO | error));
        report->held.open();
        CHILD_EXPECT(name(data.lock.lock()) == "acquired");
        CHILD_EXPECT(name(data.lock.unlock()) == "released");
      }};
      report->held.pass("the waiter");
      await_waiters(data.lock);
      ASSERT_EQ(name(data.lock.unlock()), "released");
      EXPECT_EQ(waiter.wait(), exited(0)) << error << plain_too;
    }
  }
}

} // namespace
} // namespace deadbolt::testing
