// SPDX-License-Identifier: MIT
// A thread that does nothing but sleep on a futex once.
#ifndef DEADBOLT_ARCH_X86_64_SLEEPER_THREAD_HPP
#define DEADBOLT_ARCH_X86_64_SLEEPER_THREAD_HPP

#include <cstdint>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>

namespace deadbolt::arch {

// Starts a thread that sleeps on the futex *word while that is `expected`, and then ends. *alive is
// not 0 until the kernel no longer uses the thread. The thread must not use a stack, because it
// would be its parent's: so the caller has blocked all signals.
inline bool start_sleeper(const std::uint32_t* word, std::uint32_t expected,
                          std::uint32_t* alive) noexcept {
  constexpr long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                         CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  register long child_tid asm("r10") = reinterpret_cast<long>(alive);
  register long tls asm("r8") = 0;
  register const std::uint32_t* futex asm("r12") = word;
  register long value asm("r13") = static_cast<long>(expected);
  long result;
  // The child: futex(word, FUTEX_WAIT, expected, nullptr); exit(0).
  asm volatile("syscall\n\t"
               "test %%rax, %%rax\n\t"
               "jnz 1f\n\t"
               "mov %%r12, %%rdi\n\t"
               "mov %[wait], %%esi\n\t"
               "mov %%r13, %%rdx\n\t"
               "xor %%r10d, %%r10d\n\t"
               "mov %[futex], %%eax\n\t"
               "syscall\n\t"
               "xor %%edi, %%edi\n\t"
               "mov %[exit], %%eax\n\t"
               "syscall\n\t"
               "ud2\n"
               "1:"
               : "=a"(result)
               : "a"(SYS_clone), "D"(flags), "S"(0), "d"(alive), "r"(child_tid), "r"(tls),
                 "r"(futex),
                 "r"(value), [wait] "i"(FUTEX_WAIT), [futex] "i"(SYS_futex), [exit] "i"(SYS_exit)
               : "rcx", "r11", "memory");
  return result > 0;
}

} // namespace deadbolt::arch
#endif
