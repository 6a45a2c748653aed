// SPDX-License-Identifier: MIT
// What a test that steps a child must know of the processor.
#ifndef DEADBOLT_TESTS_ARCH_STEPPING_HPP
#define DEADBOLT_TESTS_ARCH_STEPPING_HPP

#include "instructions.hpp"

#include <asm/ptrace.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

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

// `code` is the 8 bytes at an instruction.
constexpr bool is_system_call(std::uint64_t code) noexcept {
  return (code & 0xffffffff) == 0x00000073; // ecall
}
// Of two bytes, so that it fits in place of any instruction.
constexpr std::uint64_t with_breakpoint(std::uint64_t code) noexcept {
  return (code & ~std::uint64_t{0xffff}) | 0x9002; // c.ebreak
}
inline constexpr std::uint64_t breakpoint_size = 0; // the trap comes in front of it

} // namespace deadbolt::testing::arch

namespace deadbolt::trace {

// Every instruction is such a sequence here: it is run to its exits by breakpoints.
struct exclusive_sequence {
  static constexpr unsigned most_exits = 8;
  std::uint64_t exits[most_exits]{};
  unsigned exit_count = 0;
  unsigned length = 0;
};

// `read` has the child whose registers are looked at.
template <class Read>
exclusive_sequence find_exclusive_sequence(std::uint64_t ip, Read&& read) {
  const user_regs_struct registers = testing::arch::all_registers(read.child);
  std::uint64_t values[32]; // the program counter in the place of x0
  static_assert(sizeof registers == sizeof values);
  std::memcpy(values, &registers, sizeof values);
  values[0] = 0;
  const auto next =
      testing::arch::places_after(ip, read, [&values](unsigned number) { return values[number]; });
  exclusive_sequence found;
  if (next.places.size() > exclusive_sequence::most_exits) {
    std::fputs("a load reserved with too many exits\n", stderr);
    std::abort();
  }
  for (const std::uint64_t place : next.places) found.exits[found.exit_count++] = place;
  found.length = next.length;
  return found;
}

} // namespace deadbolt::trace
#endif
