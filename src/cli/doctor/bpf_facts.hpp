// SPDX-License-Identifier: MIT
// Whether a BPF guard could work here, found by asking the kernel.
#ifndef DEADBOLT_CLI_DOCTOR_BPF_FACTS_HPP
#define DEADBOLT_CLI_DOCTOR_BPF_FACTS_HPP

#include <cstdint>
#include <optional>
#include <string>

namespace deadbolt::cli::doctor {

struct bpf_facts {
  // errno values of loading two programs that are never attached: one that does
  // nothing, and one that could write a user's memory. 0: the kernel took it.
  int plain_program = 0;
  int writing_program = 0;
  bool has_type_information = false; // /sys/kernel/btf/vmlinux
  bool has_capabilities = false;     // CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN
  bool seccomp_filters = false;      // this process is under a seccomp filter
  std::string lockdown;              // none, integrity, confidentiality; empty: not to be read
  // Of the guard that is attached: signals seen and repairs.
  struct attached_guard {
    std::uint64_t signals = 0;
    std::uint64_t repairs = 0;
  };
  std::optional<attached_guard> attached{};
};

[[nodiscard]] bpf_facts gather_bpf_facts();

} // namespace deadbolt::cli::doctor
#endif
