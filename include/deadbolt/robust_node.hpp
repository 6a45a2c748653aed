// SPDX-License-Identifier: MIT
// What a lock on the thread's robust list looks like in memory.
#ifndef DEADBOLT_ROBUST_NODE_HPP
#define DEADBOLT_ROBUST_NODE_HPP

#include <cstdint>
#include <features.h>

namespace deadbolt::detail {

// A thread's robust list belongs to its libc, so a node has to look like the
// libc's own mutex at the offsets that the libc and the kernel use (spec section
// 6). Size and the two links are the same in both layouts; `layout` tells them
// apart: it holds no TID, so that a program of the other libc, to which it is the
// lock word, sees a mutex that is held and stops.
//
// word: bits 0-29 owner TID (set by the locker, cleared by unlock and by the
// kernel), bit 30 FUTEX_OWNER_DIED (set by the kernel, cleared by the next
// owner), bit 31 FUTEX_WAITERS (set by a waiter before it sleeps, kept by an
// owner who slept; the kernel keeps it). A word whose TID bits are 0 is free.
struct robust_node {
#if defined(__GLIBC__)
  std::uint32_t word = 0;
  std::uint32_t layout = 0x3fff0067;
  std::uint32_t state = 0; // the owner's: consistent, inconsistent, not recoverable
  std::uint32_t spins = 0; // a guess, racy on purpose
  std::uint32_t unused[2] = {};
#else
  std::uint32_t layout = 0x3fff0084; // musl: bit 7 says process-shared, bit 2 robust
  std::uint32_t word = 0;
  std::uint32_t waiters = 0; // musl's pthread_exit reads it; ours are in `word`
  std::uint32_t state = 0;
  std::uint32_t spins = 0;
  std::uint32_t unused = 0;
#endif
  void* previous = nullptr;
  void* next = nullptr;
};

} // namespace deadbolt::detail
#endif
