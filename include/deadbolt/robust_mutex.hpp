// SPDX-License-Identifier: MIT
// A mutex in shared memory that survives the death of its owner.
#ifndef DEADBOLT_ROBUST_MUTEX_HPP
#define DEADBOLT_ROBUST_MUTEX_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/lockable.hpp>
#include <deadbolt/detail/needs_robust_locks.h>
#include <deadbolt/detail/robust_lock.hpp>

namespace deadbolt::inline DEADBOLT_ABI {

// Place it in any mapping that is shared (MAP_SHARED) by processes of one libc, one word
// size and one PID namespace; construct it once, in place. If its owner dies, the next
// owner is told owner_died.
//
// If a thread is killed just after it has released the mutex and another process reuses the memory
// of the mutex at once, the kernel may write there, unless the kernel or a guard protects the
// killed process (<deadbolt/protection.hpp>). Within one process, the destructor or unmap()
// (<deadbolt/quiescence.hpp>) prevents it.
//
// lock(), try_lock(), try_lock_until(), try_lock_for() and unlock() are those of
// <deadbolt/detail/lockable.hpp>; mark_consistent(), owner() and native_handle() those of
// <deadbolt/detail/robust_lock.hpp>.
//
// The mutex is on the calling thread's robust list, the one that its libc registered with
// the kernel, beside pthread robust mutexes. When a thread dies the kernel follows its
// robust list for 2,048 entries at most.
//
// Not recursive. A signal handler must not use it if it can interrupt a thread inside a lock
// or unlock of this or another robust mutex: a thread has one list_op_pending. Not for a
// child of vfork. A thread other than the group leader that calls execve while it holds a
// mutex leaves it locked for ever: no Linux so far marks it.
class [[gnu::visibility("default")]] DEADBOLT_CAPABILITY("mutex") robust_mutex
    : public detail::lockable<robust_mutex>,
      public detail::robust_lock {
public:
  constexpr robust_mutex() noexcept = default;
  // Waits for unlocks in flight in this process, as wait_for_unlocks() (<deadbolt/quiescence.hpp>)
  // with a time-out of one second, and aborts if one is still in flight then. Where
  // wait_for_unlocks() is unavailable the destructor does not wait.
  ~robust_mutex();

private:
  friend lockable;
  lock_status acquire() noexcept;
  lock_status try_acquire() noexcept;
  lock_status acquire_until(detail::deadline deadline) noexcept;
  unlock_status release() noexcept;
};

static_assert(sizeof(robust_mutex) == 40);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
