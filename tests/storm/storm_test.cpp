// SPDX-License-Identifier: MIT
// A short storm on every lock of ours, and whether a storm notices a lock that is broken.
#include "storm.hpp"
#include "twin_mutex.hpp"

#include "crash/catalogue.hpp"

#include <cstdio>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <string>

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

TEST(storm, every_lock_of_ours_stands_a_short_one) {
  for (const deadbolt::crash::subject* subject : deadbolt::crash::all_subjects()) {
    if (!subject->ours() || !deadbolt::storm::can_be_stormed(*subject)) continue;
    const outcome result = deadbolt::storm::run(*subject, short_storm(0.7));
    EXPECT_EQ(result.violation, "") << subject->name();
    EXPECT_GT(std::accumulate(result.kills.begin(), result.kills.end(), std::uint64_t{0}), 20u);
    EXPECT_GT(result.takeovers, 0u) << subject->name();
    EXPECT_GT(result.sections, 500u) << subject->name();
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
                      broken{"forgets_owner_death", fault::forgets_owner_death, "never left"}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(storm, healthy_twin_is_not_caught) {
  const twin_mutex twin{"healthy", fault::none};
  const outcome result = deadbolt::storm::run(twin, short_storm(1.5));
  EXPECT_EQ(result.violation, "");
  EXPECT_GT(result.takeovers, 0u);
}

// Lets everybody in.
class no_mutex final : public deadbolt::crash::subject {
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
