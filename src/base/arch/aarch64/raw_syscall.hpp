// SPDX-License-Identifier: MIT
// System calls without errno: a lock must not change its caller's errno, and a guard that
// interrupts the thread must find the result in x0.
#ifndef DEADBOLT_ARCH_AARCH64_RAW_SYSCALL_HPP
#define DEADBOLT_ARCH_AARCH64_RAW_SYSCALL_HPP

#include <type_traits>

// The kernel forgets these registers of SVE, and what z0 to z31 have above the 128 bits of v0 to
// v31, at a system call. A compiler that does not use SVE need not know that.
#ifdef __ARM_FEATURE_SVE
#define DEADBOLT_LOST_VECTORS                                                                      \
  , "z0", "z1", "z2", "z3", "z4", "z5", "z6", "z7", "z8", "z9", "z10", "z11", "z12", "z13", "z14", \
      "z15", "z16", "z17", "z18", "z19", "z20", "z21", "z22", "z23", "z24", "z25", "z26", "z27",   \
      "z28", "z29", "z30", "z31", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9",      \
      "p10", "p11", "p12", "p13", "p14", "p15"
#else
#define DEADBOLT_LOST_VECTORS
#endif

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

// Returns the kernel's own result: -errno on failure. Of the other registers the kernel keeps all
// but those of SVE.
template <class A = int, class B = int, class C = int, class D = int, class E = int, class F = int>
inline long raw_syscall(long number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0,
                        F f = 0) noexcept {
  // All arguments are evaluated before any register is bound: an evaluation could be a call.
  const long arguments[] = {syscall_argument(a), syscall_argument(b), syscall_argument(c),
                            syscall_argument(d), syscall_argument(e), syscall_argument(f)};
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = arguments[0];
  register long x1 asm("x1") = arguments[1];
  register long x2 asm("x2") = arguments[2];
  register long x3 asm("x3") = arguments[3];
  register long x4 asm("x4") = arguments[4];
  register long x5 asm("x5") = arguments[5];
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory" DEADBOLT_LOST_VECTORS);
  return x0;
}

// A hint to the processor that this is a spinning wait. `yield` is a no-operation on most cores,
// so that a loop of it would end the spinning after a fraction of the time that base::spinner
// counts on; `isb` empties the pipeline, which takes about as long as x86's `pause`.
inline void spin_pause() noexcept {
  asm volatile("isb" ::: "memory");
}

} // namespace deadbolt::arch

#undef DEADBOLT_LOST_VECTORS
#endif
