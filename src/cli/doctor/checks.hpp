// SPDX-License-Identifier: MIT
// What doctor looks at. Facts are gathered apart from the judgement on them, so
// that settings which this machine does not have can be tested.
#ifndef DEADBOLT_CLI_DOCTOR_CHECKS_HPP
#define DEADBOLT_CLI_DOCTOR_CHECKS_HPP

#include "cli/doctor/bpf_facts.hpp"
#include "cli/doctor/finding.hpp"

#include <deadbolt/lock_result.hpp>
#include <deadbolt/protection.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace deadbolt::cli::doctor {

[[nodiscard]] finding check_kernel();
[[nodiscard]] finding check_libc();
[[nodiscard]] finding check_processors();
[[nodiscard]] finding check_robust_list();

struct engine_facts {
  std::string chosen;
  std::vector<std::string> available;
  std::vector<std::string> missing;
};
[[nodiscard]] engine_facts gather_engine_facts();
[[nodiscard]] finding judge_engines(const engine_facts& facts);

// ptrace_refusal: why a ptrace guard could not work here; nothing if it could.
[[nodiscard]] finding judge_protection(protection_kind protection,
                                       const std::optional<std::string>& ptrace_refusal);
[[nodiscard]] finding judge_ptrace_guard(const std::optional<std::string>& ptrace_refusal);

[[nodiscard]] finding judge_bpf_guard(const bpf_facts& facts);

// A child locks a mutex and is killed.
struct live_facts {
  std::string failure; // what kept the check from being made; empty: it was made
  lock_status status = lock_status::busy;
  std::chrono::nanoseconds took{0}; // from the kill to the lock
};
[[nodiscard]] live_facts gather_live_facts();
[[nodiscard]] finding judge_live_check(const live_facts& facts);

// Where the liveness word of a region's member is on its thread's robust list.
struct liveness_word_facts {
  pid_t pid;
  pid_t tid;
  std::string failure;                    // what kept it from being looked for; empty: nothing
  std::optional<std::uint32_t> position;  // from 1; empty: the kernel would not find it
  std::optional<std::uint32_t> broken_at; // the entry at which the kernel would give up
};
[[nodiscard]] liveness_word_facts gather_liveness_word_facts(pid_t pid, pid_t tid);
[[nodiscard]] finding judge_liveness_word(const liveness_word_facts& facts);
// Every live member of the region in this file.
[[nodiscard]] std::vector<finding> examine_region(const std::string& path);

// All of the machine's, in the order in which they are shown.
[[nodiscard]] std::vector<finding> examine_machine();

} // namespace deadbolt::cli::doctor
#endif
