// SPDX-License-Identifier: MIT
// System calls without errno: a lock must not change its caller's errno, and a guard that
// interrupts the thread must find the result in rax.
#ifndef DEADBOLT_ARCH_X86_64_RAW_SYSCALL_HPP
#define DEADBOLT_ARCH_X86_64_RAW_SYSCALL_HPP

#include <type_traits>

namespace deadbolt::arch {

template <class T>
inline long syscall_argument([[maybe_unused]] T value) noexcept {
  if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else {
    return static_cast<long>(value);
  }
}

// Returns the kernel's own result: -errno on failure.
template <class A = int, class B = int, class C = int, class D = int, class E = int, class F = int>
inline long raw_syscall(long number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0,
                        F f = 0) noexcept {
  // All arguments are evaluated before any register is bound: an evaluation could be a call.
  const long arguments[] = {syscall_argument(a), syscall_argument(b), syscall_argument(c),
                            syscall_argument(d), syscall_argument(e), syscall_argument(f)};
  register long r10 asm("r10") = arguments[3];
  register long r8 asm("r8") = arguments[4];
  register long r9 asm("r9") = arguments[5];
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(r10),
                 "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

// A hint to the processor that this is a spinning wait.
inline void spin_pause() noexcept {
  asm volatile("pause" ::: "memory");
}

} // namespace deadbolt::arch
#endif
