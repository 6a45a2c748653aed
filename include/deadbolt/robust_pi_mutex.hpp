// SPDX-License-Identifier: MIT
// A priority-inheritance mutex in shared memory that survives its owner's death.
#ifndef DEADBOLT_ROBUST_PI_MUTEX_HPP
#define DEADBOLT_ROBUST_PI_MUTEX_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/lockable.hpp>
#include <deadbolt/detail/needs_robust_locks.h>
#include <deadbolt/detail/robust_lock.hpp>

namespace deadbolt::inline DEADBOLT_ABI {

// As robust_mutex in placement, member functions, results and limits. In addition, the
// kernel runs an owner at the priority of its most urgent waiter, and passes the mutex to
// the most urgent waiter first.
//
// A waiter of normal priority spins for some microseconds before it sleeps in the kernel,
// one of real-time priority does not spin. While a waiter sleeps, lock and unlock are system
// calls. Needs CONFIG_FUTEX_PI: where the kernel lacks it, a contended lock aborts with the
// message that FUTEX_LOCK_PI failed with errno 38 (ENOSYS).
//
// lock() also returns deadlock when a chain of owners, each waiting for the next one's
// mutex, ends at the caller.
//
// While the kernel finds no thread with the owner's TID, lock() does not wait and returns
// not_recoverable. There are two causes. The owner called execve in a thread other than the group
// leader: then the mutex stays locked for ever. Or the owner is in another PID namespace, across
// which a robust mutex must not be shared: then it may still unlock, and a later lock() can
// succeed.
//
// Before FUTEX_LOCK_PI2 (Linux 5.14) the kernel sleeps by CLOCK_REALTIME only: a jump of
// that clock during the sleep moves a monotonic deadline by as much.
class [[gnu::visibility("default")]] DEADBOLT_CAPABILITY("mutex") robust_pi_mutex
    : public detail::lockable<robust_pi_mutex>,
      public detail::robust_lock {
public:
  constexpr robust_pi_mutex() noexcept = default;
  // As ~robust_mutex().
  ~robust_pi_mutex();

private:
  friend lockable;
  lock_status acquire() noexcept;
  lock_status try_acquire() noexcept;
  lock_status acquire_until(detail::deadline deadline) noexcept;
  unlock_status release() noexcept;
};

static_assert(sizeof(robust_pi_mutex) == 40);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
