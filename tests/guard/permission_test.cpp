// SPDX-License-Identifier: MIT
// The error names the setting that refuses ptrace, and no other.
#include "guard/ptrace/permission.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <string>

namespace {

using deadbolt::guard::explain_refusal;
using deadbolt::guard::ptrace_facts;

void expect_named(const ptrace_facts& facts, const std::string& setting) {
  const std::string text = explain_refusal(facts, EPERM);
  EXPECT_NE(text.find("Operation not permitted"), std::string::npos) << text;
  const std::string settings[] = {"seccomp",           "already traced",    "ptrace_scope is 3",
                                  "ptrace_scope is 2", "ptrace_scope is 1", "not dumpable",
                                  "security module"};
  for (const std::string& one : settings)
    EXPECT_EQ(text.find(one) != std::string::npos, one == setting) << one << ": " << text;
}

TEST(ptrace_refusal, names_the_setting) {
  expect_named({.seccomp_refuses = true, .yama_scope = 2}, "seccomp");
  expect_named({.tracer = 17, .tracer_name = "gdb", .yama_scope = 1}, "already traced");
  expect_named({.yama_scope = 3, .has_capability = true}, "ptrace_scope is 3");
  expect_named({.yama_scope = 2}, "ptrace_scope is 2");
  expect_named({.yama_scope = 2, .has_capability = true}, "security module");
  expect_named({.yama_scope = 1, .dumpable = false}, "not dumpable");
  expect_named({.yama_scope = 1}, "ptrace_scope is 1");
  expect_named({.yama_scope = 0}, "security module");
  expect_named({.has_capability = true, .dumpable = false}, "security module");
  expect_named({}, "security module");
}

TEST(ptrace_refusal, names_the_tracer) {
  const std::string text = explain_refusal({.tracer = 17, .tracer_name = "gdb"}, EPERM);
  EXPECT_NE(text.find("process 17 (gdb)"), std::string::npos) << text;
}

TEST(ptrace_refusal, is_not_found_where_these_tests_trace) {
  EXPECT_EQ(deadbolt::guard::find_ptrace_refusal(), std::nullopt);
}

} // namespace
