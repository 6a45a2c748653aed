// SPDX-License-Identifier: MIT
// What a kernel's robust unlock leaves in a word that more than one waiter sleeps on.
#ifndef DEADBOLT_PRELOAD_WAITERS_PROBE_HPP
#define DEADBOLT_PRELOAD_WAITERS_PROBE_HPP

#include <cstdint>

namespace deadbolt::preload {

enum class word_left : std::uint8_t {
  zero,    // stock glibc takes it
  waiters, // free with WAITERS: stock glibc sleeps on it for ever
  unknown, // the trial could not be made, or the word had another value
};

// Lets two threads sleep on a word and has the kernel unlock it (FUTEX_ROBUST_UNLOCK). The
// threads are not the libc's, run a handful of instructions without a stack or signals, and
// are gone when this returns. By measurement, and not by the kernel's version: kernels that
// a distribution has changed leave either.
[[nodiscard]] word_left probe_contended_unlock() noexcept;

} // namespace deadbolt::preload
#endif
