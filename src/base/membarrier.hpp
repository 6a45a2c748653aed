// SPDX-License-Identifier: MIT
// membarrier(2), the global expedited kind (Linux 4.16). Results are -errno.
#ifndef DEADBOLT_BASE_MEMBARRIER_HPP
#define DEADBOLT_BASE_MEMBARRIER_HPP

#include <linux/membarrier.h>
#include <raw_syscall.hpp>
#include <sys/syscall.h>

namespace deadbolt::base {

// From now on, until execve, every thread of this process executes a full memory barrier,
// wherever it is, when any process calls barrier_everywhere().
inline long register_for_barriers() noexcept {
  return arch::raw_syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
}

// Returns when every running thread of every registered process has executed a full barrier.
// A thread that is not running executed one when it left its CPU.
inline long barrier_everywhere() noexcept {
  return arch::raw_syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

} // namespace deadbolt::base
#endif
