// SPDX-License-Identifier: MIT
// The registers of a traced thread on aarch64, and the few instructions that a tracer must
// recognise.
#ifndef DEADBOLT_TRACE_ARCH_AARCH64_REGISTERS_HPP
#define DEADBOLT_TRACE_ARCH_AARCH64_REGISTERS_HPP

#include "trace/address.hpp"

#include <cerrno>
#include <cstdint>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

namespace deadbolt::trace {

class registers {
public:
  [[nodiscard]] address ip() const noexcept { return address(raw_.pc); }
  void set_ip(address to) noexcept { raw_.pc = to.value(); }
  [[nodiscard]] address stack_pointer() const noexcept { return address(raw_.sp); }
  // In front of a system call instruction.
  [[nodiscard]] long call_number() const noexcept { return static_cast<long>(raw_.regs[8]); }
  // Behind a system call instruction, or of a function that has returned.
  [[nodiscard]] std::uint64_t result() const noexcept { return raw_.regs[0]; }
  // Of a function call or of a system call: the first and the second argument.
  [[nodiscard]] std::uint64_t argument_1() const noexcept { return raw_.regs[0]; }
  [[nodiscard]] std::uint64_t argument_2() const noexcept { return raw_.regs[1]; }
  // At a stop at a system call: its number.
  [[nodiscard]] long system_call() const noexcept { return call_number(); }
  // In front of a function's first instruction.
  template <class Read>
  [[nodiscard]] address return_address(Read&& /*read*/) const {
    return address(raw_.regs[30]);
  }
  // For a thread that is moved elsewhere. The kernel restarts a system call only where it was made.
  void forget_system_call() noexcept {}

  [[nodiscard]] const user_regs_struct& raw() const noexcept { return raw_; }
  [[nodiscard]] user_regs_struct& raw() noexcept { return raw_; }

  // 0 or an errno value. Of a thread that runs 32-bit code only that is said: the kernel has other
  // registers for it, which no caller needs.
  [[nodiscard]] int load(pid_t tid) noexcept {
    iovec part{&raw_, sizeof raw_};
    if (::syscall(SYS_ptrace, PTRACE_GETREGSET, tid, NT_PRSTATUS, &part) == -1) return errno;
    if (part.iov_len != sizeof raw_) {
      raw_ = {};
      raw_.pstate = state_is_32_bit;
    }
    return 0;
  }
  [[nodiscard]] int store(pid_t tid) const noexcept {
    user_regs_struct copy = raw_;
    iovec part{&copy, sizeof copy};
    return ::syscall(SYS_ptrace, PTRACE_SETREGSET, tid, NT_PRSTATUS, &part) == -1 ? errno : 0;
  }

private:
  static constexpr std::uint64_t state_is_32_bit = 0x10; // PSTATE.nRW

  user_regs_struct raw_{};
};

// `code` is the 8 bytes at an instruction, as read from memory.
[[nodiscard]] constexpr bool is_system_call(std::uint64_t code) noexcept {
  return (code & 0xffffffff) == 0xd4000001; // svc #0
}
[[nodiscard]] constexpr bool is_breakpoint(std::uint64_t code) noexcept {
  return (code & 0xffe0001f) == 0xd4200000; // brk
}
[[nodiscard]] constexpr std::uint64_t with_breakpoint(std::uint64_t code) noexcept {
  return (code & ~std::uint64_t{0xffffffff}) | 0xd4200000; // brk #0
}
// The trap leaves the instruction pointer at the breakpoint.
inline constexpr std::uint64_t breakpoint_size = 0;
// A thread that stopped at a breakpoint of its own code goes on this far behind the stop.
inline constexpr std::uint64_t own_breakpoint_rest = 4;

} // namespace deadbolt::trace
#endif
