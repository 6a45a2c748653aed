// SPDX-License-Identifier: MIT
// System calls without errno: a lock must not change its caller's errno.
#ifndef DEADBOLT_ARCH_RISCV64_RAW_SYSCALL_HPP
#define DEADBOLT_ARCH_RISCV64_RAW_SYSCALL_HPP

#include <type_traits>

// The kernel forgets the vector registers at a system call. A compiler that does not use them need
// not know that, and may not know their names. It expects neither vl nor vtype to outlive any asm.
#ifdef __riscv_vector
#define DEADBOLT_LOST_VECTORS                                                                      \
  , "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
      "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",   \
      "v28", "v29", "v30", "v31"
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
// but the vectors.
template <class A = int, class B = int, class C = int, class D = int, class E = int, class F = int>
inline long raw_syscall(long number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0,
                        F f = 0) noexcept {
  // All arguments are evaluated before any register is bound: an evaluation could be a call.
  const long arguments[] = {syscall_argument(a), syscall_argument(b), syscall_argument(c),
                            syscall_argument(d), syscall_argument(e), syscall_argument(f)};
  register long a7 asm("a7") = number;
  register long a0 asm("a0") = arguments[0];
  register long a1 asm("a1") = arguments[1];
  register long a2 asm("a2") = arguments[2];
  register long a3 asm("a3") = arguments[3];
  register long a4 asm("a4") = arguments[4];
  register long a5 asm("a5") = arguments[5];
  asm volatile("ecall"
               : "+r"(a0)
               : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
               : "memory" DEADBOLT_LOST_VECTORS);
  return a0;
}

// A hint to the processor that this is a spinning wait: `pause` of Zihintpause, written as the
// fence that it is to assemblers and processors without that extension.
inline void spin_pause() noexcept {
  asm volatile(".4byte 0x0100000f" ::: "memory"); // fence w, 0
}

} // namespace deadbolt::arch

#undef DEADBOLT_LOST_VECTORS
#endif
