// SPDX-License-Identifier: MIT
// What a test that steps a child must know of the processor.
#ifndef DEADBOLT_TESTS_ARCH_STEPPING_HPP
#define DEADBOLT_TESTS_ARCH_STEPPING_HPP

#include <cstdint>
#include <elf.h>
#include <guard/repair_rule.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <trace/arch/aarch64/exclusive_sequence.hpp>

namespace deadbolt::testing::arch {

inline user_regs_struct all_registers(pid_t child) noexcept {
  user_regs_struct registers{};
  iovec part{&registers, sizeof registers};
  ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &part);
  return registers;
}

inline std::uint64_t instruction_pointer(pid_t child) noexcept {
  return all_registers(child).pc;
}
inline void set_instruction_pointer(pid_t child, std::uint64_t to) noexcept {
  user_regs_struct registers = all_registers(child);
  registers.pc = to;
  iovec part{&registers, sizeof registers};
  ptrace(PTRACE_SETREGSET, child, NT_PRSTATUS, &part);
}

inline deadbolt_thread_state thread_state(pid_t child) noexcept {
  const user_regs_struct registers = all_registers(child);
  return deadbolt_thread_state_of(registers.regs, registers.pc, registers.pstate);
}

// `code` is the 8 bytes at an instruction.
constexpr bool is_system_call(std::uint64_t code) noexcept {
  return (code & 0xffffffff) == 0xd4000001; // svc #0
}
constexpr std::uint64_t with_breakpoint(std::uint64_t code) noexcept {
  return (code & ~std::uint64_t{0xffffffff}) | 0xd4200000; // brk #0
}
inline constexpr std::uint64_t breakpoint_size = 0; // the trap comes in front of it

} // namespace deadbolt::testing::arch
#endif
