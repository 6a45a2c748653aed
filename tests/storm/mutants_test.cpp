// SPDX-License-Identifier: MIT
// A storm must find the fault of each broken lock, and must name it.
#include "mutant_condition_variable.hpp"
#include "mutant_mutex.hpp"
#include "mutant_semaphore.hpp"
#include "mutant_shared_mutex.hpp"
#include "short_storm.hpp"

#include <algorithm>
#include <csignal>
#include <gtest/gtest.h>
#include <ostream>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace deadbolt::crash;
using deadbolt::storm::options;
using deadbolt::storm::short_storm;

// Admits every thread.
class no_mutex : public deadbolt::crash::subject {
public:
  constexpr explicit no_mutex(bool tells = true)
      : subject{{.name = "no_mutex",
                 .summary = "a test's mutex",
                 .engine = "none",
                 .protected_by_itself = true,
                 .tells = tells}} {}
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

struct broken {
  const char* name;
  const subject* mutant;
  std::vector<std::string> verdicts; // the storm must give one of these
  std::uint32_t permits = 1;
};
std::ostream& operator<<(std::ostream& to, const broken& it) {
  return to << it.name;
}

class storm_mutant : public ::testing::TestWithParam<broken> {};

TEST_P(storm_mutant, is_caught) {
  const broken& it = GetParam();
  options wanted = short_storm(40); // it ends at the first violation
  if (it.verdicts.front() == "stranded") wanted.patience = std::chrono::duration<double>(1);
  const std::string said = deadbolt::storm::run(*it.mutant, wanted, it.permits).violation;
  EXPECT_TRUE(std::ranges::any_of(
      it.verdicts,
      [&](const std::string& verdict) { return said.find(verdict) != std::string::npos; }))
      << "said: " << said;
}

// A thread that waits for a lost lock is stranded; if no thread is left to wait, the driver's last
// look finds the lost lock.
const std::vector<broken>& all_broken() {
  static const mutant_mutex never_wakes{"mutant", fault::never_wakes};
  static const mutant_mutex tears_the_list{"mutant", fault::tears_the_list};
  static const mutant_mutex forgets_death{"mutant", fault::forgets_owner_death};
  static const mutant_mutex crashes{"mutant", fault::crashes};
  static const no_mutex excludes_nobody;
  static const mutant_shared_mutex counts_readers{side::reader, shared_fault::counts_readers};
  static const mutant_shared_mutex forgets_writer{side::writer, shared_fault::forgets_writer};
  static const mutant_shared_mutex reads_unlocked{side::reader, shared_fault::reads_unlocked};
  static const counted_semaphore counts_holders;
  static const semaphore_subject<3> three_permits{"three", "all permits are free", 3, 0};
  static const semaphore_subject<2> two_permits{"two", "all permits are free", 2, 0};
  static const unbounded_condition unbounded;
  static const hasty_condition hasty;
  static const std::vector<broken> all{
      {"never_wakes", &never_wakes, {"stranded"}},
      {"tears_the_list", &tears_the_list, {"stranded", "lost"}},
      {"forgets_owner_death", &forgets_death, {"never left"}},
      {"crashes", &crashes, {"killed by signal 6"}},
      {"excludes_nobody", &excludes_nobody, {"two threads were inside", "never left"}},
      {"counts_readers", &counts_readers, {"stranded", "lost"}},
      {"forgets_writer", &forgets_writer, {"never left"}},
      {"reads_unlocked", &reads_unlocked, {"two threads were inside", "never left"}},
      {"counts_holders", &counts_holders, {"stranded", "lost"}},
      {"gives_a_permit_too_many", &three_permits, {"more holders than permits"}, 2},
      {"has_lost_a_permit", &two_permits, {"lock 0 is refused at the end"}, 3},
      {"sleeps_unbounded", &unbounded, {"stranded"}},
      {"hasty", &hasty, {"two threads were inside", "never left", "could not unlock"}}};
  return all;
}

INSTANTIATE_TEST_SUITE_P(faults, storm_mutant, ::testing::ValuesIn(all_broken()),
                         [](const auto& parameter) { return parameter.param.name; });

struct healthy {
  const char* name;
  const subject* mutant;
};
std::ostream& operator<<(std::ostream& to, const healthy& it) {
  return to << it.name;
}

class healthy_mutant : public ::testing::TestWithParam<healthy> {};

TEST_P(healthy_mutant, is_not_caught) {
  const options wanted = short_storm(1);
  const deadbolt::storm::outcome result = deadbolt::storm::run(*GetParam().mutant, wanted);
  EXPECT_EQ(result.violation, "");
  EXPECT_EQ(shortfall(result, wanted.time), "");
}

const mutant_mutex healthy_mutex{"mutant", fault::none};
const mutant_semaphore healthy_semaphore;
const mutant_shared_mutex healthy_shared_mutex{side::reader, shared_fault::none};

INSTANTIATE_TEST_SUITE_P(storm, healthy_mutant,
                         ::testing::Values(healthy{"mutex", &healthy_mutex},
                                           healthy{"semaphore", &healthy_semaphore},
                                           healthy{"shared_mutex", &healthy_shared_mutex}),
                         [](const auto& parameter) { return parameter.param.name; });

// A mutex whose unlock now and then ends the process, in the same ways as a storm's kills.
class deadly_mutex final : public no_mutex {
public:
  explicit deadly_mutex(void (*end)()) : no_mutex{false}, end_{end} {}
  bool unlock(void* /*lock*/) const override {
    thread_local int times = 0;
    if (++times % 100 == 0) end_();
    return true;
  }

private:
  void (*end_)();
};

// One thread in all: with more, the storm would report that two threads are inside at once.
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

} // namespace
