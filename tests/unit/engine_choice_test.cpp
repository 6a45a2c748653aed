// SPDX-License-Identifier: MIT
// DEADBOLT_ENGINE is obeyed or refused, never silently replaced. protection() follows from the
// engine and the tracer.
#include <deadbolt/critical_section.h>
#include <deadbolt/protection.hpp>
#include <robust/engine.hpp>

#include <child_process.hpp>
#include <gate.hpp>
#include <shared_memory.hpp>

#include <array>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <sys/ptrace.h>

namespace deadbolt::testing {
namespace {

struct probe_result {
  int status;
  std::string output; // stdout and stderr
};

// Runs the probe with DEADBOLT_ENGINE set to this value, or unset.
probe_result probe(const char* engine) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) std::abort();
  child_process child{[&] {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    if (engine != nullptr) {
      setenv("DEADBOLT_ENGINE", engine, 1);
    } else {
      unsetenv("DEADBOLT_ENGINE");
    }
    execl(ENGINE_PROBE, ENGINE_PROBE, nullptr);
    return 126;
  }};
  close(ends[1]);
  probe_result result{};
  std::array<char, 512> buffer{};
  for (ssize_t count; (count = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    result.output.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  const ending end = child.wait();
  result.status = end.by_signal ? -end.number : end.number;
  return result;
}

std::string best_engine() {
  const char* const* name = robust::engine_names;
  while (!robust::engine_is_available(*name)) ++name;
  return *name;
}

TEST(engine_choice, best_one_is_taken_when_none_is_named) {
  for (const char* engine : {static_cast<const char*>(nullptr), ""}) {
    const probe_result result = probe(engine);
    EXPECT_EQ(result.status, 0) << result.output;
    EXPECT_TRUE(result.output.starts_with(best_engine() + " ")) << result.output;
  }
}

TEST(engine_choice, local_is_always_there) {
  ASSERT_TRUE(robust::engine_is_available("local"));
  const probe_result result = probe("local");
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.output, "local none\n");
}

TEST(engine_choice, each_engine_is_obeyed_or_refused) {
  for (const char* const* name = robust::engine_names; *name != nullptr; ++name) {
    const probe_result result = probe(*name);
    if (robust::engine_is_available(*name)) {
      EXPECT_EQ(result.status, 0);
      EXPECT_TRUE(result.output.starts_with(*name + std::string{" "})) << result.output;
    } else {
      EXPECT_EQ(result.status, 127);
      EXPECT_NE(result.output.find(*name), std::string::npos) << result.output;
      EXPECT_NE(result.output.find(" local"), std::string::npos) << "it lists what there is";
    }
  }
}

TEST(engine_choice, unknown_name_is_refused_however_long) {
  for (const std::string& name :
       {std::string{"nonsense"}, std::string{"LOCAL"}, std::string(2000, 'x')}) {
    const probe_result result = probe(name.c_str());
    EXPECT_EQ(result.status, 127);
    EXPECT_NE(result.output.find(name.substr(0, 100)), std::string::npos) << result.output;
    EXPECT_NE(result.output.find(" local"), std::string::npos) << result.output;
    EXPECT_TRUE(result.output.ends_with("\n"));
  }
}

// Only a tracer that bears the guard's name counts as one: a debugger repairs nothing.
TEST(protection, tracer_is_a_guard_by_its_name) {
  if (robust::this_engine().protected_by_kernel) {
    EXPECT_EQ(protection(), protection_kind::kernel);
    GTEST_SKIP() << "the kernel covers this process: there is no guard to look for";
  }
  for (const bool guard : {false, true}) {
    shared<gate> traced;
    child_process child{[&] {
      traced->pass("the tracer");
      CHILD_EXPECT(protection() == (guard ? protection_kind::guard : protection_kind::none));
    }};
    child_process tracer{[&] {
      if (guard) prctl(PR_SET_NAME, DEADBOLT_PTRACE_GUARD_COMM);
      CHILD_EXPECT(ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr) == 0);
      traced->open();
      // The tracer must wait for the end of its tracee before the parent can.
      int status = 0;
      while (waitpid(child.pid(), &status, __WALL) == child.pid() && WIFSTOPPED(status)) {
        ptrace(PTRACE_CONT, child.pid(), nullptr, nullptr);
      }
    }};
    EXPECT_EQ(child.wait(), exited(0));
  }
}

TEST(protection, names_are_those_of_the_enumerators) {
  EXPECT_STREQ(to_string(protection_kind::none), "none");
  EXPECT_STREQ(to_string(protection_kind::guard), "guard");
  EXPECT_STREQ(to_string(protection_kind::kernel), "kernel");
}

} // namespace
} // namespace deadbolt::testing
