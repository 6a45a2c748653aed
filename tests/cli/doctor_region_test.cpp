// SPDX-License-Identifier: MIT
// Whether doctor sees a liveness word that the kernel would not find.
#include "cli/doctor/checks.hpp"

#include <command_output.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>

#include <child_process.hpp>
#include <gate.hpp>

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using deadbolt::region;
using deadbolt::cli::doctor::gather_liveness_word_facts;
using deadbolt::cli::doctor::judge_liveness_word;
using deadbolt::cli::doctor::level;
using deadbolt::cli::doctor::liveness_word_facts;
using deadbolt::testing::child_process;
using deadbolt::testing::command_output;
using deadbolt::testing::gate;
using deadbolt::testing::run_command;

// A member with this many pthread robust mutexes that are newer than its liveness word.
class member_with_mutexes {
public:
  explicit member_with_mutexes(int newer)
      : ready_{*new (mmap(nullptr, sizeof(gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0)) gate},
        shared_{region::create_anonymous("deadbolt-doctor", {.size = 4096, .members = 4})},
        child_{[this, newer] { become_member(newer); }} {
    ready_.pass("a member");
  }
  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  [[nodiscard]] std::string path() const {
    return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(shared_.descriptor());
  }

private:
  void become_member(int newer) {
    CHILD_EXPECT(shared_.attach() == deadbolt::attach_status::attached);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    static pthread_mutex_t mutexes[3000];
    for (int i = 0; i < newer; ++i) {
      pthread_mutex_init(mutexes + i, &attributes);
      pthread_mutex_lock(mutexes + i);
    }
    ready_.open();
    for (;;) pause();
  }

  gate& ready_;
  region shared_;
  child_process child_;
};

TEST(doctor_region, liveness_word_in_front_is_found) {
  const member_with_mutexes member{0};
  const liveness_word_facts facts = gather_liveness_word_facts(member.pid(), member.pid());
  ASSERT_EQ(facts.failure, "");
  EXPECT_EQ(facts.position, 1u);
  EXPECT_EQ(judge_liveness_word(facts).severity, level::ok);
}

TEST(doctor_region, liveness_word_is_found_as_the_last_that_the_kernel_looks_at) {
  const member_with_mutexes member{2047};
  const liveness_word_facts facts = gather_liveness_word_facts(member.pid(), member.pid());
  EXPECT_EQ(facts.position, 2048u);
}

TEST(doctor_region, liveness_word_behind_more_is_hidden) {
  const member_with_mutexes member{2048};
  const liveness_word_facts facts = gather_liveness_word_facts(member.pid(), member.pid());
  EXPECT_EQ(facts.position, std::nullopt);
  EXPECT_EQ(judge_liveness_word(facts).severity, level::broken);
  const command_output result =
      run_command(DEADBOLT_COMMAND " doctor --region " + member.path() + " 2>&1");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_NE(result.text.find("not among the 2048 entries"), std::string::npos) << result.text;
}

TEST(doctor_region, members_that_the_kernel_finds_are_fine) {
  const member_with_mutexes member{3};
  const command_output result =
      run_command(DEADBOLT_COMMAND " doctor --region " + member.path() + " 2>&1");
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_NE(result.text.find("tid " + std::to_string(member.pid())), std::string::npos);
  EXPECT_NE(result.text.find("as entry 4 of 2048"), std::string::npos) << result.text;
}

TEST(doctor_region, bad_entry_in_front_hides_it) {
  const liveness_word_facts facts{
      .pid = 1, .tid = 1, .failure = {}, .position = std::nullopt, .broken_at = 7};
  EXPECT_NE(judge_liveness_word(facts).what.find("entry 7"), std::string::npos);
  EXPECT_EQ(judge_liveness_word(facts).severity, level::broken);
}

TEST(doctor_region, file_that_is_no_region_is_said_to_be_none) {
  const command_output result =
      run_command(DEADBOLT_COMMAND " doctor --region /proc/self/exe 2>&1");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.text.find("not a region"), std::string::npos) << result.text;
}

TEST(doctor_region, empty_file_name_is_an_error) {
  const command_output result = run_command(DEADBOLT_COMMAND " doctor --region '' 2>&1");
  EXPECT_EQ(result.status, 1) << result.text;
}

// A thread that changes its robust list all the time, as a busy program does.
TEST(doctor_region, busy_member_raises_no_alarm) {
  region shared = region::create_anonymous("deadbolt-doctor", {.size = 4096, .members = 4});
  gate& ready = *new (
      mmap(nullptr, sizeof(gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) gate;
  const child_process busy{[&] {
    CHILD_EXPECT(shared.attach() == deadbolt::attach_status::attached);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_t mutex;
    pthread_mutex_init(&mutex, &attributes);
    ready.open();
    for (;;) {
      pthread_mutex_lock(&mutex);
      pthread_mutex_unlock(&mutex);
      shared.detach();
      static_cast<void>(shared.attach());
    }
  }};
  ready.pass("the busy member");
  const std::string path =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(shared.descriptor());
  for (int look = 0; look < 100; ++look) {
    for (const auto& found : deadbolt::cli::doctor::examine_region(path))
      ASSERT_NE(found.severity, level::broken) << look << ": " << found.what;
  }
}

} // namespace
