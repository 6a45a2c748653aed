// SPDX-License-Identifier: MIT
// A priority-inheritance mutex in shared memory that survives its owner's death.
#ifndef DEADBOLT_ROBUST_PI_MUTEX_HPP
#define DEADBOLT_ROBUST_PI_MUTEX_HPP

#include <deadbolt/lock_result.hpp>
#include <deadbolt/robust_node.hpp>
#include <deadbolt/thread_sanitizer.hpp>
#include <deadbolt/timed_lock.hpp>

#include <chrono>
#include <cstdint>
#include <sys/types.h>

namespace deadbolt {

// As robust_mutex in placement, results, limits and thread's robust list; in
// addition, an owner runs at the priority of its most urgent waiter, and the most
// urgent waiter is served first, by the kernel. Waiters do not spin.
//
// A contended lock or unlock is a system call. Needs CONFIG_FUTEX_PI; aborts with
// a message that says so where the kernel lacks it.
class [[gnu::visibility("default")]] robust_pi_mutex {
public:
  constexpr robust_pi_mutex() noexcept = default;
  // As ~robust_mutex().
  ~robust_pi_mutex();
  robust_pi_mutex(const robust_pi_mutex&) = delete;
  robust_pi_mutex& operator=(const robust_pi_mutex&) = delete;

  // Results: acquired, owner_died, deadlock (also when a chain of owners waits in
  // a circle that ends here), not_recoverable (also when the kernel cannot find
  // the owner: it called execve outside its leader, or has another PID namespace).
  lock_result lock() noexcept {
    return {detail::thread_sanitizer_locked(this, acquire()), this};
  }

  // Results: acquired, owner_died, not_recoverable, busy (also when the caller
  // itself holds the mutex).
  lock_result try_lock() noexcept {
    return {detail::thread_sanitizer_locked(this, try_acquire()), this};
  }

  // Results: those of lock(), and timed_out; clocks as for robust_mutex. Before
  // FUTEX_LOCK_PI2 (Linux 5.14) the kernel sleeps by CLOCK_REALTIME only: a jump of
  // that clock then moves a monotonic deadline by as much, once.
  template <class Clock, class Duration>
  lock_result try_lock_until(const std::chrono::time_point<Clock, Duration>& time) {
    const lock_status status =
        detail::lock_until(time, [this](detail::deadline d) noexcept { return acquire_until(d); });
    return {detail::thread_sanitizer_locked(this, status), this};
  }
  template <class Rep, class Period>
  lock_result try_lock_for(const std::chrono::duration<Rep, Period>& duration) {
    return try_lock_until(detail::steady_time_after(duration));
  }

  // If the caller was told owner_died and has not called mark_consistent(), the
  // mutex becomes not recoverable, as POSIX says.
  unlock_status unlock() noexcept {
    detail::thread_sanitizer_unlocks(this);
    return release();
  }

  // As for robust_mutex.
  bool mark_consistent() noexcept;
  [[nodiscard]] pid_t owner() const noexcept;
  [[nodiscard]] const std::uint32_t* native_handle() const noexcept {
    return &node_.word;
  }

private:
  lock_status acquire() noexcept;
  lock_status try_acquire() noexcept;
  lock_status acquire_until(detail::deadline deadline) noexcept;
  unlock_status release() noexcept;

  detail::robust_node node_;
};

static_assert(sizeof(robust_pi_mutex) == 40);

} // namespace deadbolt
#endif
