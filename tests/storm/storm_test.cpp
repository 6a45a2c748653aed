// SPDX-License-Identifier: MIT
// A short storm on each of this library's locks, and tests of how a storm is judged.
#include "ending.hpp"
#include "short_storm.hpp"
#include "targets.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using deadbolt::storm::options;
using deadbolt::storm::outcome;
using deadbolt::storm::short_storm;

constexpr std::chrono::duration<double> short_time{0.6};

TEST(storm, every_lock_of_ours_stands_a_short_one) {
  for (const auto& [subject, permits] : deadbolt::storm::all_targets()) {
    if (!subject->ours()) continue;
    const outcome result = deadbolt::storm::run(*subject, short_storm(short_time.count()), permits);
    EXPECT_EQ(result.violation, "") << subject->name();
    EXPECT_EQ(shortfall(result, short_time), "") << subject->name();
  }
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
  result.kills = {61, 40, 0, 0};
  EXPECT_NE(shortfall(result, 10s).find("takeovers"), std::string::npos);
  result.takeovers = 11;
  EXPECT_NE(shortfall(result, 10s).find("sections"), std::string::npos);
  result.sections = 2001;
  EXPECT_EQ(shortfall(result, 10s), "");
  EXPECT_NE(shortfall(result, 11s), "");
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
