// SPDX-License-Identifier: MIT
// What a test that steps a child must know of the processor.
#ifndef DEADBOLT_TESTS_ARCH_STEPPING_HPP
#define DEADBOLT_TESTS_ARCH_STEPPING_HPP

#include <cstddef>
#include <cstdint>
#include <guard/repair_rule.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <trace/arch/x86_64/exclusive_sequence.hpp>

namespace deadbolt::testing::arch {

inline std::uint64_t instruction_pointer(pid_t child) noexcept {
  return static_cast<std::uint64_t>(
      ptrace(PTRACE_PEEKUSER, child, offsetof(user, regs.rip), nullptr));
}
inline void set_instruction_pointer(pid_t child, std::uint64_t to) noexcept {
  ptrace(PTRACE_POKEUSER, child, offsetof(user, regs.rip), to);
}

inline deadbolt_thread_state thread_state(pid_t child) noexcept {
  user_regs_struct registers{};
  ptrace(PTRACE_GETREGS, child, nullptr, &registers);
  return {.ip = registers.rip, .rax = registers.rax, .flags = registers.eflags, .cs = registers.cs};
}

// `code` is the 8 bytes at an instruction.
constexpr bool is_system_call(std::uint64_t code) noexcept {
  return (code & 0xffff) == 0x050f;
}
constexpr std::uint64_t with_breakpoint(std::uint64_t code) noexcept {
  return (code & ~std::uint64_t{0xff}) | 0xcc;
}
inline constexpr std::uint64_t breakpoint_size = 1; // the trap comes behind it

} // namespace deadbolt::testing::arch
#endif
