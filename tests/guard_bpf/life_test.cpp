// SPDX-License-Identifier: MIT
// `deadbolt guard` is attached, killed, taken over and ended; and refused where it cannot work.
#include "attached_guard.hpp"
#include "guard/bpf/attach.hpp"
#include "guard/proc_status.hpp"

#include <cerrno>
#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace deadbolt::guard;
using guard_test::attached_guard;
using guard_test::counts_now;
using guard_test::run_deadbolt;

void ignore(int) {}

void take_signals(unsigned count) {
  struct sigaction action {};
  action.sa_handler = ignore;
  ::sigaction(SIGUSR1, &action, nullptr);
  for (unsigned i = 0; i < count; ++i) ::raise(SIGUSR1);
}

bool is_attached() {
  return look_at_bpf_guard().counts.has_value();
}

TEST(guard, counts_the_signals_that_it_sees) {
  const attached_guard guard;
  if (!guard.refusal().empty()) GTEST_SKIP() << guard.refusal();
  const std::uint64_t before = counts_now()[DEADBOLT_BPF_SIGNALS];
  take_signals(1000);
  EXPECT_GE(counts_now()[DEADBOLT_BPF_SIGNALS], before + 1000);
  const auto status = run_deadbolt({"guard", "--status"});
  EXPECT_EQ(status.status, 0);
  EXPECT_TRUE(status.output.starts_with("attached: ")) << status.output;
  const auto json = run_deadbolt({"guard", "--status", "--json"});
  EXPECT_TRUE(json.output.starts_with("{\"attached\":true,\"signals\":")) << json.output;
  const auto doctor = run_deadbolt({"doctor"});
  EXPECT_NE(doctor.output.find("attached: "), std::string::npos) << doctor.output;
}

TEST(guard, has_no_capability_left_when_it_is_attached) {
  const attached_guard guard;
  if (!guard.refusal().empty()) GTEST_SKIP() << guard.refusal();
  const proc_status status = proc_status::of(guard.pid());
  EXPECT_EQ(status.mask("CapEff:").value_or(1), 0u);
  EXPECT_EQ(status.mask("CapPrm:").value_or(1), 0u);
  EXPECT_EQ(status.last_number("NoNewPrivs:").value_or(0), 1);
}

TEST(guard, is_gone_when_it_was_asked_to_end) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    attached_guard guard;
    if (!guard.refusal().empty()) GTEST_SKIP() << guard.refusal();
    EXPECT_TRUE(is_attached());
    EXPECT_EQ(guard.end(signal), 0);
    EXPECT_FALSE(is_attached());
  }
  EXPECT_EQ(run_deadbolt({"guard", "--status"}).status, 3);
  EXPECT_EQ(run_deadbolt({"guard", "--detach"}).status, 3);
}

TEST(guard, stays_when_its_daemon_is_killed_and_is_taken_over) {
  attached_guard killed;
  if (!killed.refusal().empty()) GTEST_SKIP() << killed.refusal();
  EXPECT_EQ(killed.end(SIGKILL), 1000 + SIGKILL);
  ASSERT_TRUE(is_attached());
  const std::uint64_t before = counts_now()[DEADBOLT_BPF_SIGNALS];
  take_signals(100);
  EXPECT_GE(counts_now()[DEADBOLT_BPF_SIGNALS], before + 100);
  {
    const attached_guard successor;
    ASSERT_EQ(successor.refusal(), "");
    take_signals(100);
    EXPECT_GE(counts_now()[DEADBOLT_BPF_SIGNALS], 100u);
  }
  EXPECT_FALSE(is_attached());
}

TEST(guard, is_removed_by_detach) {
  attached_guard killed;
  if (!killed.refusal().empty()) GTEST_SKIP() << killed.refusal();
  killed.end(SIGKILL);
  ASSERT_TRUE(is_attached());
  EXPECT_EQ(run_deadbolt({"guard", "--detach"}).status, 0);
  EXPECT_FALSE(is_attached());
}

// On every machine it either works, or prints one line that says why not and what to do.
TEST(guard, says_why_it_cannot_work) {
  const attached_guard guard;
  if (guard.refusal().empty()) GTEST_SKIP() << "it works here";
  EXPECT_FALSE(is_attached());
  const std::string& said = guard.refusal();
  const std::size_t last = said.rfind('\n', said.size() - 2);
  const std::string line = said.substr(last == std::string::npos ? 0 : last + 1);
  EXPECT_TRUE(line.starts_with("deadbolt guard: ")) << said;
  const char* const causes[] = {"built without", "lockdown",       "run it as root",
                                "CONFIG_",       "seccomp",        "security module",
                                "mount -t bpf",  "not locked down"};
  bool names_one = false;
  for (const char* const cause : causes)
    names_one = names_one || line.find(cause) != std::string::npos;
  EXPECT_TRUE(names_one) << line;
  if (has_bpf_guard()) return;
  EXPECT_NE(line.find("built without"), std::string::npos) << line;
}

TEST(guard, says_to_become_root) {
  if (!has_bpf_guard()) GTEST_SKIP() << "built without the BPF guard";
  if (::geteuid() != 0) GTEST_SKIP() << "the other tests are run without root already";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(1);
    const attached_guard guard({"--no-libc"});
    ::_exit(guard.refusal().find("run it as root") != std::string::npos ? 0 : 2);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

} // namespace
