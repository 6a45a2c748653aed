// SPDX-License-Identifier: MIT
#include "guard/ptrace/permission.hpp"

#include "guard/proc_status.hpp"
#include "trace/process.hpp"
#include "trace/thread.hpp"

#include <cerrno>
#include <fstream>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <system_error>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

int read_yama_scope() {
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope = -1;
  return file >> scope ? scope : -1;
}

std::string command_name(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

// The kernel answers this request with ESRCH: no process is its own tracee. A seccomp filter gives
// another answer.
bool filter_answers_ptrace() {
  return trace::traced_thread(::getpid()).resume() != ESRCH;
}

} // namespace

ptrace_facts gather_ptrace_facts(pid_t tracee) {
  ptrace_facts facts;
  const proc_status ours = proc_status::of_self();
  facts.tracer = static_cast<pid_t>(proc_status::of(tracee).last_number("TracerPid:").value_or(0));
  if (facts.tracer != 0) facts.tracer_name = command_name(facts.tracer);
  facts.seccomp_refuses = filter_answers_ptrace();
  facts.yama_scope = read_yama_scope();
  facts.has_capability = (ours.mask("CapEff:").value_or(0) >> CAP_SYS_PTRACE & 1) != 0;
  // The tracee is a child that has not called execve: as dumpable as this process.
  facts.dumpable = ::prctl(PR_GET_DUMPABLE) == 1;
  return facts;
}

std::string explain_refusal(const ptrace_facts& facts, int error) {
  const std::string refused =
      std::string("ptrace is refused (") + std::generic_category().message(error) + "): ";
  if (facts.seccomp_refuses)
    return refused + "a seccomp filter on this process answers ptrace calls; a container run time "
                     "lifts it by allowing ptrace in its seccomp profile";
  if (facts.tracer != 0)
    return refused + "the command is already traced by process " + std::to_string(facts.tracer) +
           " (" + facts.tracer_name + "), and a thread has one tracer";
  if (facts.yama_scope >= 3)
    return refused + "kernel.yama.ptrace_scope is 3, which forbids ptrace until the next boot";
  if (facts.has_capability)
    return refused + "no setting known to deadbolt does so; a security module (AppArmor, SELinux) "
                     "or another user namespace may";
  if (facts.yama_scope == 2)
    return refused + "kernel.yama.ptrace_scope is 2, which asks for CAP_SYS_PTRACE; set it to 1 or "
                     "0, or grant the capability";
  if (!facts.dumpable)
    return refused + "this process is not dumpable (its program file is unreadable, set-uid or has "
                     "capabilities), so that CAP_SYS_PTRACE is needed";
  if (facts.yama_scope == 1)
    return refused + "kernel.yama.ptrace_scope is 1 and refuses the guard, which is no ancestor of "
                     "the command; set it to 0, or grant CAP_SYS_PTRACE";
  return refused + "the guard lacks CAP_SYS_PTRACE, and a security module or another user "
                   "namespace asks for it";
}

std::optional<std::string> find_ptrace_refusal() {
  const trace::child_process child(trace::launch([] {
    for (;;) ::pause();
  }));
  if (child.pid() < 0) return std::string("cannot fork: ") + std::generic_category().message(errno);
  std::optional<std::string> reason;
  trace::seized_thread seized;
  if (const int error = seized.seize(child.pid(), 0))
    reason = explain_refusal(gather_ptrace_facts(child.pid()), error);
  return reason;
}

} // namespace deadbolt::guard
