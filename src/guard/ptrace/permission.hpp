// SPDX-License-Identifier: MIT
// Why ptrace is refused here, in words that name the setting.
#ifndef DEADBOLT_GUARD_PTRACE_PERMISSION_HPP
#define DEADBOLT_GUARD_PTRACE_PERMISSION_HPP

#include <optional>
#include <string>
#include <sys/types.h>

namespace deadbolt::guard {

// What decides, gathered apart from the deciding so that settings which this
// machine does not have can be tested.
struct ptrace_facts {
  pid_t tracer = 0; // who traces the tracee already; 0: nobody
  std::string tracer_name{};
  bool seccomp_refuses = false; // a filter answers our ptrace calls
  int yama_scope = -1;          // kernel.yama.ptrace_scope; -1: no Yama
  bool has_capability = false;  // CAP_SYS_PTRACE in our own user namespace
  bool dumpable = true;         // the tracee's PR_GET_DUMPABLE is 1
};

[[nodiscard]] ptrace_facts gather_ptrace_facts(pid_t tracee);

// One line without a full stop. error: errno value of the refused request.
[[nodiscard]] std::string explain_refusal(const ptrace_facts& facts, int error);

// Forks a child and seizes it: nothing if that works, else the reason. For doctor.
[[nodiscard]] std::optional<std::string> find_ptrace_refusal();

} // namespace deadbolt::guard
#endif
