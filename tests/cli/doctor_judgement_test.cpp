// SPDX-License-Identifier: MIT
// Facts that this machine need not have, and what doctor makes of them.
#include "cli/doctor/checks.hpp"

#include <cerrno>
#include <gtest/gtest.h>

namespace {

using namespace deadbolt::cli::doctor;
using deadbolt::lock_status;
using deadbolt::protection_kind;

bool mentions(const finding& found, const char* words) {
  return found.what_to_do.find(words) != std::string::npos;
}

bpf_facts everything_allowed() {
  return {.plain_program = 0,
          .writing_program = 0,
          .has_type_information = true,
          .has_capabilities = true,
          .seccomp_filters = false,
          .lockdown = "none"};
}

TEST(doctor_judgement, bpf_guard_is_possible_where_the_kernel_takes_both_programs) {
  const finding found = judge_bpf_guard(everything_allowed());
  EXPECT_EQ(found.severity, level::ok);
  EXPECT_EQ(found.what_to_do, "");
}

TEST(doctor_judgement, missing_capability_is_named) {
  bpf_facts facts = everything_allowed();
  facts.plain_program = facts.writing_program = EPERM;
  facts.has_capabilities = false;
  const finding found = judge_bpf_guard(facts);
  EXPECT_EQ(found.severity, level::warning);
  EXPECT_TRUE(mentions(found, "CAP_BPF")) << found.what_to_do;
}

TEST(doctor_judgement, seccomp_filter_is_named_where_the_capability_is_there) {
  bpf_facts facts = everything_allowed();
  facts.plain_program = facts.writing_program = EPERM;
  facts.seccomp_filters = true;
  EXPECT_TRUE(mentions(judge_bpf_guard(facts), "seccomp")) << judge_bpf_guard(facts).what_to_do;
}

TEST(doctor_judgement, kernel_without_bpf_is_named) {
  bpf_facts facts = everything_allowed();
  facts.plain_program = facts.writing_program = ENOSYS;
  EXPECT_TRUE(mentions(judge_bpf_guard(facts), "CONFIG_BPF_SYSCALL"));
}

TEST(doctor_judgement, lockdown_is_named_with_its_mode) {
  bpf_facts facts = everything_allowed();
  facts.writing_program = EINVAL;
  facts.lockdown = "integrity";
  const finding found = judge_bpf_guard(facts);
  EXPECT_EQ(found.severity, level::warning);
  EXPECT_TRUE(mentions(found, "lockdown")) << found.what_to_do;
  EXPECT_TRUE(mentions(found, "integrity")) << found.what_to_do;
}

TEST(doctor_judgement, lockdown_is_not_blamed_where_it_is_off) {
  bpf_facts facts = everything_allowed();
  facts.writing_program = EINVAL;
  EXPECT_FALSE(mentions(judge_bpf_guard(facts), "boot one that is not"));
  EXPECT_TRUE(mentions(judge_bpf_guard(facts), "not locked down"));
}

TEST(doctor_judgement, missing_type_information_is_named) {
  bpf_facts facts = everything_allowed();
  facts.has_type_information = false;
  EXPECT_EQ(judge_bpf_guard(facts).severity, level::warning);
  EXPECT_TRUE(mentions(judge_bpf_guard(facts), "CONFIG_DEBUG_INFO_BTF"));
}

TEST(doctor_judgement, reason_against_a_ptrace_guard_is_passed_on) {
  const finding found = judge_ptrace_guard("kernel.yama.ptrace_scope is 3");
  EXPECT_EQ(found.severity, level::warning);
  EXPECT_TRUE(mentions(found, "ptrace_scope is 3"));
  EXPECT_EQ(judge_ptrace_guard({}).severity, level::ok);
}

TEST(doctor_judgement, no_protection_is_a_warning_with_a_way_out) {
  const finding with_ptrace = judge_protection(protection_kind::none, {});
  EXPECT_EQ(with_ptrace.severity, level::warning);
  EXPECT_TRUE(mentions(with_ptrace, "deadbolt run"));
  const finding without = judge_protection(protection_kind::none, "refused");
  EXPECT_EQ(without.severity, level::warning);
  EXPECT_FALSE(mentions(without, "deadbolt run")) << "that would be refused";
  EXPECT_EQ(judge_protection(protection_kind::guard, {}).severity, level::ok);
  EXPECT_EQ(judge_protection(protection_kind::kernel, "refused").severity, level::ok);
}

TEST(doctor_judgement, engine_that_is_not_the_best_is_a_warning) {
  EXPECT_EQ(judge_engines({"vdso", {"vdso", "local"}, {"syscall"}}).severity, level::ok);
  const finding found = judge_engines({"local", {"vdso", "local"}, {"syscall"}});
  EXPECT_EQ(found.severity, level::warning);
  EXPECT_TRUE(mentions(found, "DEADBOLT_ENGINE"));
}

TEST(doctor_judgement, lost_owner_death_is_broken) {
  using std::chrono::milliseconds;
  EXPECT_EQ(judge_live_check({"", lock_status::owner_died, milliseconds{1}}).severity, level::ok);
  for (const lock_status lost : {lock_status::acquired, lock_status::timed_out, lock_status::busy,
                                 lock_status::not_recoverable}) {
    const finding found = judge_live_check({"", lost, milliseconds{1}});
    EXPECT_EQ(found.severity, level::broken);
    EXPECT_NE(found.what.find(deadbolt::to_string(lost)), std::string::npos) << found.what;
  }
  EXPECT_EQ(judge_live_check({"fork fails", lock_status::busy, {}}).severity, level::broken);
}

TEST(doctor_judgement, live_check_sees_the_death_here) {
  const live_facts facts = gather_live_facts();
  EXPECT_EQ(facts.failure, "");
  EXPECT_EQ(facts.status, lock_status::owner_died);
}

} // namespace
