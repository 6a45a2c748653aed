// SPDX-License-Identifier: MIT
// wait_for_unlocks() under difficulties: threads start and end meanwhile, /proc is missing or
// belongs to another namespace, a sandbox refuses a system call. It must never overlook an unlock
// in flight.
#include <deadbolt/quiescence.hpp>
#include <deadbolt/robust_mutex.hpp>

#include <child_process.hpp>
#include <futex_thread.hpp>
#include <gate.hpp>
#include <seccomp_filter.hpp>
#include <shared_memory.hpp>

#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <vector>

namespace deadbolt::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Makes the calling thread look as if it were unlocking.
void pend_on(const void* lock) {
  robust_list_head* head = own_head();
  head->list_op_pending = reinterpret_cast<robust_list*>(
      const_cast<char*>(static_cast<const char*>(lock)) - head->futex_offset);
}

bool is_zombie(pid_t tid) {
  std::ifstream status{"/proc/" + std::to_string(tid) + "/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("State:")) return line.find('Z') != std::string::npos;
  }
  return false;
}

// Threads that end in the order in which they began, so that each end moves those
// behind it forward in /proc/self/task.
class thread_churn {
public:
  thread_churn() : thread_{[this] { run(); }} {
    await("the churn to begin", [this] { return rounds_ > 0; });
  }
  ~thread_churn() { stop_ = true; }

private:
  void run() {
    constexpr std::size_t most_alive = 4;
    while (!stop_) {
      std::atomic<std::size_t> begun{0};
      std::vector<std::thread> alive;
      for (std::size_t i = 0; i < most_alive; ++i) {
        alive.emplace_back([&] {
          ++begun;
          while (begun < most_alive) sched_yield();
        });
      }
      for (std::thread& thread : alive) thread.join();
      ++rounds_;
    }
  }
  std::atomic<bool> stop_{false};
  std::atomic<int> rounds_{0};
  known_thread thread_;
};

TEST(quiescence_looks, pending_thread_is_not_overlooked_while_others_end) {
  const shared<robust_mutex> mutex;
  const thread_churn churn;
  const auto end = std::chrono::steady_clock::now() + milliseconds{1500};
  const void* lock = mutex.address();
  while (std::chrono::steady_clock::now() < end) {
    // A new thread in each round, so that the kernel lists it after the churn's threads.
    gate ready;
    gate leave;
    known_thread pending{[&] {
      pend_on(lock);
      ready.open();
      leave.pass("the looks");
      own_head()->list_op_pending = nullptr;
    }};
    ready.pass("the pending entry");
    for (int i = 0; i < 50; ++i) {
      const quiescence_result result =
          wait_for_unlocks(lock, sizeof(robust_mutex), std::chrono::microseconds{50});
      if (result.status == quiescence_status::quiescent) {
        leave.open();
        FAIL() << "thread " << pending.tid() << " was overlooked";
      }
    }
    leave.open();
  }
}

TEST(quiescence_looks, quiescence_is_found_while_threads_come_and_go) {
  const shared<robust_mutex> mutex;
  const thread_churn churn;
  const auto end = std::chrono::steady_clock::now() + milliseconds{500};
  while (std::chrono::steady_clock::now() < end) {
    const quiescence_result result =
        wait_for_unlocks(mutex.address(), sizeof(robust_mutex), seconds{10});
    ASSERT_EQ(result.status, quiescence_status::quiescent) << "errno " << result.error;
  }
}

// The caller is the last of the threads here, so that a thread's end makes a look skip the caller,
// which must not be taken for a /proc of another PID namespace.
TEST(quiescence_looks, caller_that_a_look_skips_is_looked_for_again) {
  const shared<robust_mutex> mutex;
  const thread_churn churn;
  const auto end = std::chrono::steady_clock::now() + milliseconds{1500};
  while (std::chrono::steady_clock::now() < end) {
    known_thread caller{[&] {
      for (int i = 0; i < 50; ++i) {
        const quiescence_result result =
            wait_for_unlocks(mutex.address(), sizeof(robust_mutex), seconds{10});
        ASSERT_EQ(result.status, quiescence_status::quiescent) << "errno " << result.error;
      }
    }};
    caller.join();
    if (HasFailure()) return;
  }
}

// After the first thread's end the process's PID belongs to a task without memory.
TEST(quiescence_looks, first_threads_end_hides_nobody) {
  const shared<robust_mutex> mutex;
  EXPECT_EQ(run_in_child([&] {
              const pid_t leader = gettid();
              std::thread{[&] {
                await("the first thread's end", [&] { return is_zombie(leader); });
                gate ready;
                gate leave;
                known_thread pending{[&] {
                  pend_on(mutex.address());
                  ready.open();
                  leave.pass("the look");
                }};
                ready.pass("the pending entry");
                const quiescence_result result =
                    wait_for_unlocks(mutex.address(), sizeof(robust_mutex), milliseconds{1});
                CHILD_EXPECT(result.status == quiescence_status::timed_out);
                CHILD_EXPECT(result.in_flight[0] == pending.tid());
                _exit(0);
              }}.detach();
              syscall(SYS_exit, 0);
            }),
            exited(0));
}

quiescence_result look(const shared<robust_mutex>& mutex) {
  return wait_for_unlocks(mutex.address(), sizeof(robust_mutex), milliseconds{50});
}

TEST(quiescence_looks, missing_proc_is_unavailable) {
  const shared<robust_mutex> mutex;
  char directory[] = "/tmp/quiescence_looks_XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  constexpr int not_permitted = 77;
  const ending end = run_in_child([&] {
    if (chroot(directory) != 0) return not_permitted;
    const quiescence_result result = look(mutex);
    CHILD_EXPECT(result.status == quiescence_status::unavailable);
    CHILD_EXPECT(result.error == ENOENT);
    return 0;
  });
  rmdir(directory);
  if (end == exited(not_permitted)) GTEST_SKIP() << "chroot() is not permitted here";
  EXPECT_EQ(end, exited(0));
}

// The numbers in the /proc of another PID namespace are not the threads' TIDs: in this namespace
// they belong to other threads, or to none.
TEST(quiescence_looks, proc_of_another_pid_namespace_is_unavailable) {
  const shared<robust_mutex> mutex;
  constexpr int not_permitted = 77;
  const ending end = run_in_child([&] {
    if (unshare(CLONE_NEWPID) != 0) return not_permitted;
    CHILD_EXPECT(run_in_child([&] {
                   const quiescence_result result = look(mutex);
                   CHILD_EXPECT(result.status == quiescence_status::unavailable);
                   CHILD_EXPECT(result.error == ESRCH);
                 }) == exited(0));
    return 0;
  });
  if (end == exited(not_permitted)) GTEST_SKIP() << "unshare(CLONE_NEWPID) is not permitted here";
  EXPECT_EQ(end, exited(0));
}

TEST(quiescence_looks, refused_system_calls_are_unavailable) {
  const shared<robust_mutex> mutex;
  for (const long refused : {SYS_get_robust_list, SYS_process_vm_readv, SYS_getdents64}) {
    EXPECT_EQ(run_in_child([&] {
                // A second thread, since the caller itself is not examined.
                gate leave;
                known_thread other{[&] { leave.pass("the look"); }};
                CHILD_EXPECT(refuse_system_call(refused, SECCOMP_RET_ERRNO | EPERM));
                const quiescence_result result = look(mutex);
                leave.open();
                CHILD_EXPECT(result.status == quiescence_status::unavailable);
                CHILD_EXPECT(result.error == EPERM);
              }),
              exited(0))
        << "system call " << refused;
  }
}

} // namespace
} // namespace deadbolt::testing
