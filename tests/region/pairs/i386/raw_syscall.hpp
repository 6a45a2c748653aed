// SPDX-License-Identifier: MIT
// The library is for x86-64; this lets the region's sources be built for 32 bits, to
// show that both share one format. Through the libc, which touches errno.
#ifndef DEADBOLT_TESTS_I386_RAW_SYSCALL_HPP
#define DEADBOLT_TESTS_I386_RAW_SYSCALL_HPP

#include <cerrno>
#include <unistd.h>

namespace deadbolt::arch {

template <class... Arguments>
inline long raw_syscall(long number, Arguments... arguments) noexcept {
  const int before = errno;
  const long result = syscall(number, arguments...);
  const long outcome = result == -1 ? -errno : result;
  errno = before;
  return outcome;
}

inline void spin_pause() noexcept {
  asm volatile("pause" ::: "memory");
}

} // namespace deadbolt::arch
#endif
