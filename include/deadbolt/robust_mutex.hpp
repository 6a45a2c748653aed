// SPDX-License-Identifier: MIT
// A mutex in shared memory that survives the death of its owner.
#ifndef DEADBOLT_ROBUST_MUTEX_HPP
#define DEADBOLT_ROBUST_MUTEX_HPP

#include <deadbolt/lock_result.hpp>
#include <deadbolt/robust_node.hpp>
#include <deadbolt/thread_sanitizer.hpp>
#include <deadbolt/timed_lock.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sys/types.h>

namespace deadbolt {

// Place it in any mapping that is shared (MAP_SHARED) by processes of one
// libc, one word size and one PID namespace; construct it once, in place. A
// process that dies with the mutex held passes it on as owner_died.
//
// The mutex is on the calling thread's robust list, the one its libc registered
// with the kernel, beside pthread robust mutexes. A thread's robust list is
// followed by the kernel for 2,048 entries at most.
//
// Not recursive. Not for signal handlers that interrupt a thread inside a lock
// or unlock of the same or another robust mutex: a thread has one
// list_op_pending. Not for a child of vfork. A thread other than the group leader
// that calls execve while it holds a mutex leaves it locked for ever: the kernel
// does not mark it (every Linux so far).
class [[gnu::visibility("default")]] robust_mutex {
public:
  constexpr robust_mutex() noexcept = default;
  // Waits for unlocks in flight in this process, as wait_for_unlocks() with a time-out
  // of one second, and aborts if one is still in flight then. Where that is
  // unavailable it does not wait: call wait_for_unlocks() to be told.
  ~robust_mutex();
  robust_mutex(const robust_mutex&) = delete;
  robust_mutex& operator=(const robust_mutex&) = delete;

  // Results: acquired, owner_died, not_recoverable, deadlock.
  lock_result lock() noexcept {
    return {detail::thread_sanitizer_locked(this, acquire()), this};
  }

  // Results: acquired, owner_died, not_recoverable, busy (also when the caller
  // itself holds the mutex).
  lock_result try_lock() noexcept {
    return {detail::thread_sanitizer_locked(this, try_acquire()), this};
  }

  // Results: those of lock(), and timed_out. A time in the past tries once.
  // steady_clock is CLOCK_MONOTONIC and system_clock CLOCK_REALTIME, whose
  // jumps are followed; other clocks are read again after each sleep.
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

  // Says that the data is whole again after owner_died. False, and nothing
  // done, unless the caller holds the mutex and was told owner_died.
  bool mark_consistent() noexcept;

  // The TID of the owner, as this PID namespace counts; 0 when nobody holds
  // the mutex. For diagnosis: it may have changed when the caller reads it.
  [[nodiscard]] pid_t owner() const noexcept;

  // The lock word's address, for messages and tools.
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

static_assert(sizeof(robust_mutex) == 40);

} // namespace deadbolt
#endif
