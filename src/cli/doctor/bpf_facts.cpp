// SPDX-License-Identifier: MIT
#include "cli/doctor/bpf_facts.hpp"

#include "guard/bpf/pins.hpp"
#include "guard/proc_status.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <span>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::cli::doctor {
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
