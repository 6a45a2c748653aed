// SPDX-License-Identifier: MIT
// What `deadbolt doctor` checks. Facts are gathered apart from the judgement on them, so that tests
// can judge settings that this machine does not have.
#ifndef DEADBOLT_CLI_DOCTOR_CHECKS_HPP
#define DEADBOLT_CLI_DOCTOR_CHECKS_HPP

#include <deadbolt/lock_result.hpp>
#include <deadbolt/protection.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace deadbolt::cli::doctor {

enum class level {
  ok,
  warning, // locks work, with less protection than is possible
  broken,  // locks are not reliable on this machine
};

struct finding {
  std::string check;
  level severity = level::ok;
  std::string what;       // what was found
  std::string what_to_do; // empty: nothing
};

[[nodiscard]] constexpr std::string_view to_string(level severity) noexcept {
  switch (severity) {
  case level::ok:
    return "ok";
  case level::warning:
    return "warning";
  case level::broken:
    return "broken";
  }
  return "not a level";
}

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

// Whether a BPF guard could work here, found by asking the kernel.
struct bpf_facts {
  // errno values of loading two programs that are never attached: one that does nothing, and one
  // that could write to a process's memory. 0: the kernel accepted it.
  int plain_program = 0;
  int writing_program = 0;
  bool has_type_information = false; // /sys/kernel/btf/vmlinux
  bool has_capabilities = false;     // CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN
  bool seccomp_filters = false;      // this process is under a seccomp filter
  std::string lockdown;              // none, integrity, confidentiality; empty: unreadable
  // The counts of the guard that is attached.
  struct attached_guard {
    std::uint64_t signals = 0;
    std::uint64_t repairs = 0;
  };
  std::optional<attached_guard> attached{};
};

[[nodiscard]] bpf_facts gather_bpf_facts();
[[nodiscard]] finding judge_bpf_guard(const bpf_facts& facts);

// The library for programs that use pthread's robust mutexes.
struct preload_facts {
  std::string library; // empty: it is not there
  std::string line;    // what it says of itself in a program; empty: none could be started
};
[[nodiscard]] preload_facts gather_preload_facts();
[[nodiscard]] finding judge_preload(const preload_facts& facts);
// Whether a running process has the library, and what it does there.
[[nodiscard]] std::vector<finding> examine_process(pid_t pid);

// A child that holds a mutex is killed: is the next owner told?
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

// All findings about the machine, in the order in which they are shown.
[[nodiscard]] std::vector<finding> examine_machine();

} // namespace deadbolt::cli::doctor
#endif
