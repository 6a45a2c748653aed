// SPDX-License-Identifier: MIT
// A short storm on every lock of ours, and whether a storm notices a lock that is broken.
#include "ending.hpp"
#include "storm.hpp"
#include "twin_mutex.hpp"

#include "crash/catalogue.hpp"

#include <csignal>
#include <cstdio>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using deadbolt::crash::fault;
using deadbolt::crash::twin_mutex;
using deadbolt::storm::options;
using deadbolt::storm::outcome;

options short_storm(double seconds) {
  options made;
  made.seed = std::random_device{}();
  made.time = std::chrono::duration<double>(seconds);
  std::printf("seed %llu\n", static_cast<unsigned long long>(made.seed));
  std::fflush(stdout);
  return made;
}

constexpr std::chrono::duration<double> short_time{0.7};

TEST(storm, every_lock_of_ours_stands_a_short_one) {
  for (const deadbolt::crash::subject* subject : deadbolt::crash::all_subjects()) {
    if (!subject->ours() || !deadbolt::storm::can_be_stormed(*subject)) continue;
    const outcome result = deadbolt::storm::run(*subject, short_storm(short_time.count()));
    EXPECT_EQ(result.violation, "") << subject->name();
    EXPECT_EQ(shortfall(result, short_time), "") << subject->name();
  }
}

struct broken {
  const char* name;
  fault what;
  const char* verdict;
};

class storm_twin : public ::testing::TestWithParam<broken> {};

// The verdict, by name: that something is wrong is not enough.
TEST_P(storm_twin, is_caught) {
  const twin_mutex twin{GetParam().name, GetParam().what};
  options wanted = short_storm(20); // it ends at the first violation
  wanted.patience = std::chrono::duration<double>(2);
  const outcome result = deadbolt::storm::run(twin, wanted);
  EXPECT_NE(result.violation.find(GetParam().verdict), std::string::npos)
      << "said: " << result.violation;
}

INSTANTIATE_TEST_SUITE_P(
    faults, storm_twin,
    ::testing::Values(broken{"never_wakes", fault::never_wakes, "stranded"},
                      broken{"tears_the_list", fault::tears_the_list, "stranded"},
                      broken{"forgets_owner_death", fault::forgets_owner_death, "never left"},
                      broken{"crashes", fault::crashes, "killed by signal 6"}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(storm, healthy_twin_is_not_caught) {
  const twin_mutex twin{"healthy", fault::none};
  const outcome result = deadbolt::storm::run(twin, short_storm(1.5));
  EXPECT_EQ(result.violation, "");
  EXPECT_GT(result.takeovers, 0u);
}

// Lets everybody in.
class no_mutex : public deadbolt::crash::subject {
public:
  [[nodiscard]] std::string_view name() const override { return "no_mutex"; }
  [[nodiscard]] std::string_view summary() const override { return "a test's mutex"; }
  [[nodiscard]] bool ours() const override { return true; }
  [[nodiscard]] std::string_view engine() const override { return "none"; }
  [[nodiscard]] bool protected_by_itself() const override { return true; }
  [[nodiscard]] std::size_t size() const override { return 8; }
  void create(void* /*lock*/) const override {}
  void destroy(void* /*lock*/) const override {}
  deadbolt::crash::grant lock(void* /*lock*/) const override {
    return deadbolt::crash::grant::acquired;
  }
  deadbolt::crash::grant try_lock(void* /*lock*/) const override {
    return deadbolt::crash::grant::acquired;
  }
  bool unlock(void* /*lock*/) const override { return true; }
  void mark_consistent(void* /*lock*/) const override {}
  [[nodiscard]] bool held_by(const void* /*lock*/, pid_t /*tid*/) const override { return false; }
};

TEST(storm, lock_that_excludes_nobody_is_caught) {
  const outcome result = deadbolt::storm::run(no_mutex{}, short_storm(20));
  EXPECT_TRUE(result.violation.find("two threads were inside") != std::string::npos ||
              result.violation.find("never left") != std::string::npos)
      << "said: " << result.violation;
}

// Its users end in unlock, now and then, in ways that a storm uses too.
class deadly_mutex final : public no_mutex {
public:
  explicit deadly_mutex(void (*end)()) : end_{end} {}
  [[nodiscard]] bool tells() const override { return false; }
  bool unlock(void* /*lock*/) const override {
    thread_local int times = 0;
    if (++times % 100 == 0) end_();
    return true;
  }

private:
  void (*end_)();
};

// One thread in all: no_mutex would be noticed otherwise.
std::string end_of_a_storm_whose_users(void (*end)()) {
  options wanted = short_storm(20);
  wanted.processes = 1;
  wanted.threads = 1;
  return deadbolt::storm::run(deadly_mutex{end}, wanted).violation;
}

TEST(storm, crash_by_the_signal_that_a_storm_sends_is_caught) {
  const std::string said = end_of_a_storm_whose_users([] { raise(SIGSEGV); });
  EXPECT_NE(said.find("killed by signal 11"), std::string::npos) << said;
}
TEST(storm, exit_in_an_operation_is_caught) {
  const std::string said = end_of_a_storm_whose_users([] { _exit(0); });
  EXPECT_NE(said.find("exited with 0"), std::string::npos) << said;
}

TEST(storm, every_way_to_end_is_told_from_the_others) {
  using deadbolt::storm::way;
  namespace detail = deadbolt::storm::detail;
  const auto status_of = [](auto end) {
    const pid_t child = fork();
    if (child == 0) {
      end();
      _exit(1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  };
  const int sent[] = {
      status_of([] { raise(SIGKILL); }),
      status_of([] {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
      }),
      status_of([] { _exit(detail::group_exit_status); }),
      status_of([] { execl("/bin/true", "true", nullptr); }),
  };
  const int others[] = {status_of([] { raise(SIGABRT); }), status_of([] { _exit(1); }),
                        status_of([] { _exit(detail::no_exec_status); }),
                        status_of([] { _exit(detail::calm_status); })};
  for (std::size_t how = 0; how < deadbolt::storm::ways.size(); ++how) {
    const way its = deadbolt::storm::ways[how];
    for (std::size_t i = 0; i < std::size(sent); ++i)
      EXPECT_EQ(detail::is_from(its, sent[i]), i == how) << to_string(its) << ' ' << i;
    for (const int other : others) EXPECT_FALSE(detail::is_from(its, other)) << to_string(its);
  }
  EXPECT_TRUE(detail::is_from_calm(others[3]));
  for (const int status : sent) EXPECT_FALSE(detail::is_from_calm(status));
}

TEST(storm, one_in_which_too_little_happened_is_not_clean) {
  using namespace std::chrono_literals;
  outcome result;
  EXPECT_NE(shortfall(result, 0.1s).find("kills"), std::string::npos);
  result.kills = {60, 0, 0, 0};
  EXPECT_NE(shortfall(result, 10s).find("takeovers"), std::string::npos);
  result.takeovers = 6;
  EXPECT_NE(shortfall(result, 10s).find("sections"), std::string::npos);
  result.sections = 2000;
  EXPECT_EQ(shortfall(result, 10s), "");
  EXPECT_NE(shortfall(result, 20s), "");
}

TEST(storm, same_seed_is_the_same_schedule_and_another_is_not) {
  using deadbolt::storm::schedule;
  options wanted = short_storm(1);
  schedule once{wanted};
  schedule again{wanted};
  ++wanted.seed;
  schedule other{wanted};
  bool differs = false;
  for (int i = 0; i < 1000; ++i) {
    const deadbolt::storm::strike strike = once.next();
    EXPECT_EQ(strike, again.next());
    differs = differs || strike != other.next();
  }
  EXPECT_TRUE(differs);
}

} // namespace
