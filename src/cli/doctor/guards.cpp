// SPDX-License-Identifier: MIT
#include "cli/doctor/checks.hpp"

#include "guard/bpf/pins.hpp"
#include "guard/proc_status.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fmt/core.h>
#include <fstream>
#include <iterator>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <span>
#include <sys/syscall.h>
#include <unistd.h>

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

namespace {

constexpr bpf_insn instruction(int code, std::uint8_t to, std::uint8_t from, std::int16_t offset,
                               std::int32_t value) {
  bpf_insn made{};
  made.code = static_cast<std::uint8_t>(code);
  made.dst_reg = to & 0xf;
  made.src_reg = from & 0xf;
  made.off = offset;
  made.imm = value;
  return made;
}

constexpr bpf_insn set(std::uint8_t to, std::int32_t value) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}
constexpr bpf_insn copy(std::uint8_t to, std::uint8_t from) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}
constexpr bpf_insn add(std::uint8_t to, std::int32_t value) {
  // NOLINTNEXTLINE(misc-redundant-expression): two of the names stand for 0
  return instruction(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value);
}
constexpr bpf_insn store_zero(std::uint8_t base, std::int16_t offset) {
  return instruction(BPF_ST | BPF_MEM | BPF_DW, base, 0, offset, 0);
}
constexpr bpf_insn call(std::int32_t helper) {
  return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}
constexpr bpf_insn leave = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

constexpr std::array plain_program{set(BPF_REG_0, 0), leave};

// bpf_probe_write_user(0, the address of an 8-byte zero on the stack, 8)
constexpr std::array writing_program{store_zero(BPF_REG_10, -8),  set(BPF_REG_1, 0),
                                     copy(BPF_REG_2, BPF_REG_10), add(BPF_REG_2, -8),
                                     set(BPF_REG_3, 8),           call(BPF_FUNC_probe_write_user),
                                     set(BPF_REG_0, 0),           leave};

// The errno value with which the kernel refuses the program; 0 if it does not.
int load(std::span<const bpf_insn> program) {
  static constexpr char license[] = "Dual MIT/GPL"; // the helper is for GPL programs
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
  attributes.insns = reinterpret_cast<std::uintptr_t>(program.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
  attributes.license = reinterpret_cast<std::uintptr_t>(license);
  const long descriptor = ::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
  if (descriptor < 0) return errno;
  ::close(static_cast<int>(descriptor));
  return 0;
}

// The file shows all modes, the current one in brackets.
std::string read_lockdown() {
  std::ifstream file("/sys/kernel/security/lockdown");
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return text.substr(open + 1, close - open - 1);
}

} // namespace

bpf_facts gather_bpf_facts() {
  const guard::proc_status status = guard::proc_status::of_self();
  const std::uint64_t capabilities = status.mask("CapEff:").value_or(0);
  const auto has = [&](int capability) { return (capabilities >> capability & 1) != 0; };
  bpf_facts facts;
  facts.plain_program = load(plain_program);
  facts.writing_program = load(writing_program);
  facts.has_type_information = ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  facts.has_capabilities = has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON));
  facts.seccomp_filters = status.last_number("Seccomp:").value_or(0) == 2;
  facts.lockdown = read_lockdown();
  if (const auto counts = guard::look_at_bpf_guard().counts) {
    facts.attached = {.signals = (*counts)[DEADBOLT_BPF_SIGNALS],
                      .repairs = (*counts)[DEADBOLT_BPF_BLOCK_CLEARS] +
                                 (*counts)[DEADBOLT_BPF_LIBC_CLEARS]};
  }
  return facts;
}

} // namespace deadbolt::cli::doctor
