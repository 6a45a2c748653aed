// SPDX-License-Identifier: MIT
// The registers of a traced thread on x86-64, and the few instructions that a tracer must
// recognise.
#ifndef DEADBOLT_TRACE_ARCH_X86_64_REGISTERS_HPP
#define DEADBOLT_TRACE_ARCH_X86_64_REGISTERS_HPP

#include "trace/address.hpp"

#include <cerrno>
#include <cstdint>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <unistd.h>

namespace deadbolt::trace {

class registers {
public:
  [[nodiscard]] address ip() const noexcept { return address(raw_.rip); }
  void set_ip(address to) noexcept { raw_.rip = to.value(); }
  [[nodiscard]] address stack_pointer() const noexcept { return address(raw_.rsp); }
  // In front of a system call instruction.
  [[nodiscard]] long call_number() const noexcept { return static_cast<long>(raw_.rax); }
  // Behind a system call instruction, or of a function that has returned.
  [[nodiscard]] std::uint64_t result() const noexcept { return raw_.rax; }
  [[nodiscard]] std::uint64_t flags() const noexcept { return raw_.eflags; }
  [[nodiscard]] std::uint64_t code_segment() const noexcept { return raw_.cs; }
  // Of a function call or of a system call: the first and the second argument.
  [[nodiscard]] std::uint64_t argument_1() const noexcept { return raw_.rdi; }
  [[nodiscard]] std::uint64_t argument_2() const noexcept { return raw_.rsi; }
  // At a stop at a system call: its number.
  [[nodiscard]] long system_call() const noexcept { return static_cast<long>(raw_.orig_rax); }
  // In front of a function's first instruction: read(address) returns 8 bytes of its memory.
  template <class Read>
  [[nodiscard]] address return_address(Read&& read) const {
    return address(read(stack_pointer()));
  }
  // For a thread that is moved elsewhere: the kernel does not restart a system call there.
  void forget_system_call() noexcept { raw_.orig_rax = ~0ULL; }

  [[nodiscard]] const user_regs_struct& raw() const noexcept { return raw_; }
  [[nodiscard]] user_regs_struct& raw() noexcept { return raw_; }

  // 0 or an errno value. The 64-bit registers, of 32-bit code too.
  [[nodiscard]] int load(pid_t tid) noexcept {
    return ::syscall(SYS_ptrace, PTRACE_GETREGS, tid, 0, &raw_) == -1 ? errno : 0;
  }
  [[nodiscard]] int store(pid_t tid) const noexcept {
    return ::syscall(SYS_ptrace, PTRACE_SETREGS, tid, 0, &raw_) == -1 ? errno : 0;
  }

private:
  user_regs_struct raw_{};
};

// `code` is the 8 bytes at an instruction, as read from memory.
[[nodiscard]] constexpr bool is_system_call(std::uint64_t code) noexcept {
  return (code & 0xffff) == 0x050f; // 0f 05: syscall
}
[[nodiscard]] constexpr bool is_breakpoint(std::uint64_t code) noexcept {
  return (code & 0xff) == 0xcc; // int3
}
[[nodiscard]] constexpr std::uint64_t with_breakpoint(std::uint64_t code) noexcept {
  return (code & ~std::uint64_t{0xff}) | 0xcc;
}
// The trap leaves the instruction pointer this far behind the breakpoint's address.
inline constexpr std::uint64_t breakpoint_size = 1;
// A thread that stopped at a breakpoint of its own code goes on this far behind the stop.
inline constexpr std::uint64_t own_breakpoint_rest = 0;

// lock cmpxchg, with or without a prefix that widens its registers.
[[nodiscard]] constexpr bool is_locked_compare_exchange(std::uint64_t code) noexcept {
  if ((code & 0xff) != 0xf0) return false;
  code >>= 8;
  if ((code & 0xf0) == 0x40) code >>= 8;
  return (code & 0xffff) == 0xb10f;
}

} // namespace deadbolt::trace
#endif
