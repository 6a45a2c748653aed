// SPDX-License-Identifier: MIT
// Why ptrace is refused here: which setting forbids it.
#ifndef DEADBOLT_GUARD_PTRACE_PERMISSION_HPP
#define DEADBOLT_GUARD_PTRACE_PERMISSION_HPP

#include <optional>
#include <string>
#include <sys/types.h>

namespace deadbolt::guard {

// The settings that decide. They are gathered apart from the decision, so that tests can use
// settings that this machine does not have.
struct ptrace_facts {
  pid_t tracer = 0; // the process that traces the tracee already; 0: none
  std::string tracer_name{};
  bool seccomp_refuses = false; // a filter answers this process's ptrace calls
  int yama_scope = -1;          // kernel.yama.ptrace_scope; -1: no Yama
  bool has_capability = false;  // CAP_SYS_PTRACE, in the own user namespace
  bool dumpable = true;         // the tracee's PR_GET_DUMPABLE is 1
};

[[nodiscard]] ptrace_facts gather_ptrace_facts(pid_t tracee);

// One line without a full stop. error: the errno value of the refused request.
[[nodiscard]] std::string explain_refusal(const ptrace_facts& facts, int error);

// Forks a child and seizes it. The reason if that is refused.
[[nodiscard]] std::optional<std::string> find_ptrace_refusal();

} // namespace deadbolt::guard
#endif
