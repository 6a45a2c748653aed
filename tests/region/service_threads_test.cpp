// SPDX-License-Identifier: MIT
// Threads that come, go and outlive a close; and forks.
#include <service_support.hpp>

#include <base/file.hpp>

#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <vector>

namespace deadbolt::testing {
namespace {

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

// A cancellation that is pending would act in the calls that give memory to a file, and take the
// thread out of the library's functions with locks held and signals blocked.
TEST_F(region_service, pending_cancellation_waits_until_the_library_has_returned) {
  const auto use_all_calls = [this] {
    region shared = create({.size = 4096, .members = 16, .largest = 1 << 20});
    // The first eight slots have memory.
    gate end;
    std::vector<std::thread> members;
    for (int i = 0; i < 8; ++i) {
      gate attached;
      members.emplace_back([&] {
        CHILD_EXPECT(name(shared.attach()) == "attached");
        attached.open();
        end.pass("the end");
      });
      attached.pass("the attach");
    }
    void* (*const cancelled)(void*) = [](void* argument) -> void* {
      region& in = *static_cast<region*>(argument);
      const std::string file = "/proc/self/fd/" + std::to_string(in.descriptor());
      pthread_cancel(pthread_self());
      CHILD_EXPECT(name(in.attach()) == "attached");
      for (int i = 0; i < 80; ++i) { // the header has room for 63 names
        const std::string lock = "lock" + std::to_string(i);
        CHILD_EXPECT(in.find_or_construct<deadbolt::mutex>(lock.c_str()) != nullptr);
      }
      CHILD_EXPECT(in.grow(1 << 20) == grow_status::grown);
      // Files that this process has not mapped.
      const std::string other = "/dev/shm/deadbolt-test-cancel-" + std::to_string(getpid());
      CHILD_EXPECT(static_cast<bool>(region::create(other.c_str(), small)));
      CHILD_EXPECT(static_cast<bool>(region::open(other.c_str())));
      CHILD_EXPECT(static_cast<bool>(region::open_or_create(other.c_str(), small)));
      CHILD_EXPECT(truncate(other.c_str(), 4096) == 0);
      CHILD_EXPECT(static_cast<bool>(region::open_or_replace(other.c_str(), small)));
      unlink(other.c_str());
      CHILD_EXPECT(static_cast<bool>(region::open(file.c_str())));
      CHILD_EXPECT(static_cast<bool>(region::open_descriptor(in.descriptor())));
      CHILD_EXPECT(static_cast<bool>(read_only_region::open(file.c_str())));
      CHILD_EXPECT(static_cast<bool>(read_only_region::open_descriptor(in.descriptor())));
      CHILD_EXPECT(static_cast<bool>(region::create_anonymous("deadbolt-test", small)));
      CHILD_EXPECT(in.detach());
      int state = -1;
      pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
      return state == PTHREAD_CANCEL_ENABLE ? argument : nullptr;
    };
    pthread_t thread;
    void* result = nullptr;
    CHILD_EXPECT(pthread_create(&thread, nullptr, cancelled, &shared) == 0);
    CHILD_EXPECT(pthread_join(thread, &result) == 0 && result == &shared);
    end.open();
    for (std::thread& member : members) member.join();
  };
  EXPECT_EQ(run_in_child(use_all_calls), exited(0));
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

} // namespace
} // namespace deadbolt::testing
