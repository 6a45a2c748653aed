// SPDX-License-Identifier: MIT
// Kills at random moments, of a program that only locks and unlocks with the library's code. Test
// and victim share one CPU: while the test runs, the victim is preempted at some instruction, and
// the test can reuse the word that it released last.
#include "run_harness.hpp"
#include "unlock_field.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <random>
#include <sched.h>
#include <sys/wait.h>

namespace {

using namespace guard_test;

struct tally {
  int kills = 0;
  int owner_died = 0; // held its lock, and it is marked
  int intact = 0;     // had released it, and the reused word is untouched
  int corrupted = 0;
  int lost = 0;
};

class shared_field {
public:
  shared_field() : file_(::memfd_create("guard_test", 0)) {
    if (!file_ || ::ftruncate(file_.get(), sizeof(unlock_field)) != 0) std::abort();
    void* shared = map_shared(file_.get(), sizeof(unlock_field));
    if (shared == MAP_FAILED) std::abort();
    field_ = static_cast<unlock_field*>(shared);
  }
  shared_field(const shared_field&) = delete;
  shared_field& operator=(const shared_field&) = delete;
  ~shared_field() { ::munmap(field_, sizeof(unlock_field)); }
  [[nodiscard]] unlock_field& get() const noexcept { return *field_; }
  [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

private:
  deadbolt::base::descriptor file_;
  unlock_field* field_;
};

// Everything that this test starts, and itself, on one CPU.
class one_cpu {
public:
  one_cpu() {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    ::sched_setaffinity(0, sizeof one, &one);
  }
  one_cpu(const one_cpu&) = delete;
  one_cpu& operator=(const one_cpu&) = delete;
  ~one_cpu() { ::sched_setaffinity(0, sizeof before_, &before_); }

private:
  cpu_set_t before_;
};

void kill_one(bool under_guard, long nanoseconds, tally& total) {
  const one_cpu here;
  const shared_field shared;
  unlock_field& field = shared.get();
  const words command{"env", "DEADBOLT_ENGINE=local", GUARD_UNLOCKER,
                      std::to_string(shared.descriptor())};
  child_process run(under_guard ? guarded(command) : command);
  ASSERT_TRUE(eventually([&] { return field.locked != 0; }));
  const std::uint32_t tid = field.tid;
  const timespec moment{.tv_sec = 0, .tv_nsec = nanoseconds};
  ::nanosleep(&moment, nullptr); // any moment will do

  ::kill(static_cast<pid_t>(tid), SIGKILL);
  const std::uint32_t rounds = field.locked;
  std::atomic<std::uint32_t>& last = field.word(rounds - 1);
  const bool released = last == 0;
  if (released) last = tid; // its next owner freed it; data stands there now
  const bool holds = !released || field.word(rounds) == tid;

  const int status = run.wait();
  ASSERT_EQ(under_guard ? WEXITSTATUS(status) - 128 : WTERMSIG(status), SIGKILL);
  ++total.kills;
  if (released) ++(last == tid ? total.intact : total.corrupted);
  if (holds) {
    const bool marked =
        (released ? field.word(rounds) : last).load() == std::uint32_t{FUTEX_OWNER_DIED};
    ++(marked ? total.owner_died : total.lost);
  }
}

tally kill_many(bool under_guard, int kills) {
  const auto seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  std::uniform_int_distribution<long> moment(0, 1000000);
  tally total;
  for (int i = 0; i < kills && !testing::Test::HasFatalFailure(); ++i)
    kill_one(under_guard, moment(random), total);
  std::printf("%d kills: %d owner died, %d intact, %d corrupted, %d lost\n", total.kills,
              total.owner_died, total.intact, total.corrupted, total.lost);
  return total;
}

TEST(random_kill, under_deadbolt_run_spares_reused_memory_and_marks_what_was_held) {
  const tally total = kill_many(true, 60);
  EXPECT_EQ(total.kills, 60);
  EXPECT_EQ(total.corrupted, 0);
  EXPECT_EQ(total.lost, 0);
  EXPECT_GT(total.intact, 0);
}

TEST(random_kill, without_a_guard_corrupts_reused_memory) {
  tally total;
  for (int round = 0; round < 5 && total.corrupted == 0; ++round) total = kill_many(false, 20);
  EXPECT_GT(total.corrupted, 0) << "the test above could not have failed either";
  EXPECT_EQ(total.lost, 0);
}

} // namespace
