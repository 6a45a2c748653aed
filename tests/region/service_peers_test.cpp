// SPDX-License-Identifier: MIT
// Peers in other containers, with memory that the kernel reaped, in sandboxes, and not trusted.
#include <seccomp_filter.hpp>
#include <service_support.hpp>
#include <stepped_child.hpp>

#include <base/file.hpp>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <vector>

namespace deadbolt::testing {
namespace {

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

// A truncated file makes its liveness word a node that the kernel cannot read, and its walk of the
// thread's list ends there. It goes from the newest node to the oldest.
TEST_F(region_service, truncation_hides_only_what_its_thread_held_before_it_attached) {
  struct mutexes {
    pthread_mutex_t older;
    pthread_mutex_t newer;
    deadbolt::mutex other_regions;
    gate held;
  };
  region_of<mutexes> shared;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&shared->older, &attributes);
  pthread_mutex_init(&shared->newer, &attributes);
  child_process owner{[&] {
    region truncated = create();
    CHILD_EXPECT(pthread_mutex_lock(&shared->older) == 0);
    CHILD_EXPECT(name(truncated.attach()) == "attached");
    CHILD_EXPECT(pthread_mutex_lock(&shared->newer) == 0);
    CHILD_EXPECT(name(shared->other_regions.lock()) == "acquired");
    shared->held.open();
    for (;;) pause();
  }};
  shared->held.pass("the owner");
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  owner.kill();
  EXPECT_EQ(owner.wait(), killed_by(SIGKILL));
  EXPECT_EQ(pthread_mutex_trylock(&shared->newer), EOWNERDEAD);
  EXPECT_EQ(name(shared->other_regions.try_lock()), "owner_died");
  // What docs/region.md warns of (trap 8). A memfd cannot be truncated.
  EXPECT_EQ(pthread_mutex_trylock(&shared->older), EBUSY);
  EXPECT_EQ(ftruncate(shared.handle().descriptor(), 0), -1);
  EXPECT_EQ(errno, EPERM);
}

bool is_dumping_core(pid_t process) {
  const std::string file = "/proc/" + std::to_string(process) + "/status";
  const base::descriptor status{base::open_file(file.c_str(), O_RDONLY)};
  char text[4096] = {};
  return status && read(status.get(), text, sizeof text - 1) > 0 &&
         std::strstr(text, "CoreDumping:\t1") != nullptr;
}

// The kernel marks the liveness word, and releases the membership lock, when the dump is complete.
TEST_F(region_service, owner_holds_its_locks_until_its_core_dump_is_complete) {
  char pattern[128] = {};
  const base::descriptor file{base::open_file("/proc/sys/kernel/core_pattern", O_RDONLY)};
  if (!file || read(file.get(), pattern, sizeof pattern - 1) <= 0 || pattern[0] == '|' ||
      pattern[0] == '/') {
    GTEST_SKIP() << "core dumps do not go to the current directory: " << pattern;
  }
  region shared = create();
  board& data = *shared.at<board>(0);
  child_process owner{[&] {
    constexpr rlimit all{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    CHILD_EXPECT(setrlimit(RLIMIT_CORE, &all) == 0 && chdir(directory.c_str()) == 0);
    const std::vector<char> large(std::size_t{64} << 20, 'x');
    CHILD_EXPECT(name(data.lock.lock()) == "acquired");
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }};
  int looks = 0;
  siginfo_t ended{};
  while (ended.si_pid == 0) {
    if (is_dumping_core(owner.pid())) {
      const std::string status = name(data.lock.try_lock());
      // If the dump was complete before the lock was looked at, it passes on.
      if (is_dumping_core(owner.pid())) {
        EXPECT_EQ(status, "busy");
      }
      if (status != "busy") break;
      ++looks;
    }
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(owner.pid()), &ended, WEXITED | WNOHANG | WNOWAIT),
              0);
  }
  std::printf("the lock was busy at each of %d looks during the dump\n", looks);
  const lock_status last = data.lock.lock().status();
  EXPECT_TRUE(last == lock_status::owner_died || last == lock_status::deadlock) << to_string(last);
  EXPECT_EQ(owner.wait(), killed_by(SIGSEGV));
  if (looks == 0) GTEST_SKIP() << "the kernel wrote no core dump, or too fast to be seen";
}

} // namespace
} // namespace deadbolt::testing
