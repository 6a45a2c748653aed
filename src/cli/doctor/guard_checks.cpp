// SPDX-License-Identifier: MIT
#include "cli/doctor/checks.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>

namespace deadbolt::cli::doctor {

finding judge_protection(protection_kind protection,
                         const std::optional<std::string>& ptrace_refusal) {
  finding found{.check = "protection",
                .severity = level::ok,
                .what = to_string(protection),
                .what_to_do = {}};
  switch (protection) {
  case protection_kind::kernel:
    found.what += ": the kernel knows the unlock code";
    break;
  case protection_kind::guard:
    found.what += ": a guard watches this process";
    break;
  case protection_kind::none:
    found.severity = level::warning;
    found.what += ": a program killed inside an unlock window may have memory overwritten that "
                  "was reused meanwhile";
    found.what_to_do =
        ptrace_refusal ? "use a kernel with the robust unlock vDSO, or permit a guard: see below"
                       : "start programs with: deadbolt run COMMAND";
    break;
  }
  return found;
}

finding judge_ptrace_guard(const std::optional<std::string>& ptrace_refusal) {
  if (!ptrace_refusal) return {"ptrace guard", level::ok, "possible", {}};
  return {"ptrace guard", level::warning, "not possible", *ptrace_refusal};
}

namespace {

constexpr const char* remedy_for_lockdown =
    "boot one that is not; lockdown= on its command line, Secure Boot or "
    "CONFIG_LOCK_DOWN_KERNEL_FORCE_* turns it on";

// Why the kernel refused a program that does nothing.
std::string explain_no_bpf(const bpf_facts& facts) {
  switch (facts.plain_program) {
  case ENOSYS:
    return "this kernel has no bpf system call: boot one with CONFIG_BPF_SYSCALL";
  case EPERM:
    if (!facts.has_capabilities) return "run it as root, or with CAP_BPF and CAP_PERFMON";
    if (facts.lockdown == "confidentiality")
      return std::string("the kernel is in lockdown (confidentiality): ") + remedy_for_lockdown;
    if (facts.seccomp_filters)
      return "a seccomp filter answers the bpf system call: allow it in the container's profile";
    return "a security module or another user namespace forbids bpf";
  default:
    return fmt::format("the kernel refuses raw tracepoint programs ({}): boot one with "
                       "CONFIG_BPF_EVENTS",
                       std::strerror(facts.plain_program));
  }
}

} // namespace

finding judge_bpf_guard(const bpf_facts& facts) {
  finding found{
      .check = "BPF guard", .severity = level::warning, .what = "not possible", .what_to_do = {}};
  if (facts.attached) {
    found.severity = level::ok;
    found.what = fmt::format("attached: {} repairs, {} signals seen", facts.attached->repairs,
                             facts.attached->signals);
  } else if (facts.plain_program != 0) {
    found.what_to_do = explain_no_bpf(facts);
  } else if (facts.writing_program != 0) {
    const std::string refused = fmt::format("the kernel refuses bpf_probe_write_user ({})",
                                            std::strerror(facts.writing_program));
    found.what_to_do =
        facts.lockdown == "none" ? refused + " though it is not locked down"
        : facts.lockdown.empty()
            ? refused + ", as one in lockdown does: " + remedy_for_lockdown
            : refused + ", being in lockdown (" + facts.lockdown + "): " + remedy_for_lockdown;
  } else if (!facts.has_type_information) {
    found.what_to_do = "the kernel has no /sys/kernel/btf/vmlinux: boot one with "
                       "CONFIG_DEBUG_INFO_BTF";
  } else {
    found.severity = level::ok;
    found.what = "possible";
  }
  return found;
}

} // namespace deadbolt::cli::doctor
