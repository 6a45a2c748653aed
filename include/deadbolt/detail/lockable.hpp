// SPDX-License-Identifier: MIT
// The member functions that every lock has: results, times, and what ThreadSanitizer and
// clang's -Wthread-safety are told.
#ifndef DEADBOLT_DETAIL_LOCKABLE_HPP
#define DEADBOLT_DETAIL_LOCKABLE_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_safety.h>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>

#include <chrono>
#include <type_traits>

namespace deadbolt::inline DEADBOLT_ABI::detail {

template <class Lock>
class shared_lockable;
template <class Lock>
class interruptible_lockable;
template <class Lock>
class interruptible_shared_lockable;

// The base of a lock. `Lock` derives from lockable<Lock>, befriends it and has
//   lock_status acquire() noexcept;
//   lock_status try_acquire() noexcept;
//   lock_status acquire_until(detail::deadline) noexcept;
//   unlock_status release() noexcept;
template <class Lock>
class DEADBOLT_CAPABILITY("mutex") lockable {
public:
  // Waits for the lock. The caller holds it after acquired and owner_died.
  // Results: acquired, owner_died, not_recoverable, deadlock; a region's lock also returns
  // cannot_attach.
  lock_result lock() noexcept DEADBOLT_ACQUIRES() { return {locked(self().acquire()), this}; }

  // Does not wait. Results: acquired, owner_died, not_recoverable, busy (another thread or the
  // caller itself holds the lock); a region's lock also returns cannot_attach.
  try_lock_result try_lock() noexcept DEADBOLT_RETURNS_LOCK(*this) {
    return {locked(self().try_acquire()), this};
  }

  // Results: those of lock(), and timed_out. A time in the past tries once.
  // steady_clock is CLOCK_MONOTONIC and system_clock CLOCK_REALTIME: a jump of the latter
  // is noticed. Other clocks are read again when the time that was computed from them is over.
  template <class Clock, class Duration>
  try_lock_result try_lock_until(const std::chrono::time_point<Clock, Duration>& time)
      DEADBOLT_RETURNS_LOCK(*this) {
    const lock_status status = detail::lock_until(
        time, [this](deadline until) noexcept { return self().acquire_until(until); });
    return {locked(status), this};
  }
  template <class Rep, class Period>
  try_lock_result try_lock_for(const std::chrono::duration<Rep, Period>& duration)
      DEADBOLT_RETURNS_LOCK(*this) {
    return try_lock_until(steady_time_after(duration));
  }

  // Releases the lock. If the caller was told owner_died and has not called
  // mark_consistent(), the lock becomes not recoverable, as POSIX requires.
  unlock_status unlock() noexcept DEADBOLT_RELEASES() {
    thread_sanitizer_unlocks(this);
    return self().release();
  }

private:
  friend class shared_lockable<Lock>;
  friend class interruptible_lockable<Lock>;

  Lock& self() noexcept { return static_cast<Lock&>(*this); }

  lock_status locked(lock_status status) noexcept {
    // A writer is also ordered after earlier readers.
    if constexpr (std::is_base_of_v<shared_lockable<Lock>, Lock>) {
      thread_sanitizer_locked(self().readers_address(), status);
    }
    return thread_sanitizer_locked(this, status);
  }
};

// The base of a lock that readers share; `Lock` also befriends shared_lockable<Lock> and has
//   lock_status acquire_shared() noexcept;
//   lock_status try_acquire_shared() noexcept;
//   lock_status acquire_shared_until(detail::deadline) noexcept;
//   unlock_status release_shared() noexcept;
//   void* readers_address() noexcept; // an address in the lock, other than its own
template <class Lock>
class DEADBOLT_CAPABILITY("shared_mutex") shared_lockable : public lockable<Lock> {
public:
  // Waits for a shared hold. Results: acquired; not_recoverable; deadlock (the caller holds
  // the lock, shared or exclusive); too_many_holds; cannot_attach; and owner_died: the caller then
  // holds the lock alone, so that it can repair the data, call mark_consistent() and go on reading.
  lock_result lock_shared() noexcept DEADBOLT_ACQUIRES_SHARED() {
    return {locked_shared(self().acquire_shared()), this};
  }

  // Does not wait. Results: those of lock_shared(), but busy instead of deadlock: a writer, a
  // reader that was told owner_died or the caller itself holds the lock, or another thread is about
  // to acquire it.
  try_lock_shared_result try_lock_shared() noexcept DEADBOLT_RETURNS_LOCK(*this) {
    return {locked_shared(self().try_acquire_shared()), this};
  }

  // Results: those of lock_shared(), and timed_out.
  template <class Clock, class Duration>
  try_lock_shared_result try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& time)
      DEADBOLT_RETURNS_LOCK(*this) {
    const lock_status status = detail::lock_until(
        time, [this](deadline until) noexcept { return self().acquire_shared_until(until); });
    return {locked_shared(status), this};
  }
  template <class Rep, class Period>
  try_lock_shared_result try_lock_shared_for(const std::chrono::duration<Rep, Period>& duration)
      DEADBOLT_RETURNS_LOCK(*this) {
    return try_lock_shared_until(steady_time_after(duration));
  }

  // Releases what a shared form acquired; the rule for owner_died is unlock()'s.
  unlock_status unlock_shared() noexcept DEADBOLT_RELEASES_ANY() {
    thread_sanitizer_unlocks(self().readers_address());
    return self().release_shared();
  }

private:
  friend class interruptible_shared_lockable<Lock>;

  using lockable<Lock>::self;

  // A reader is ordered only after earlier writers: readers order nothing among themselves. A
  // reader that was told owner_died holds the lock as a writer does.
  lock_status locked_shared(lock_status status) noexcept {
    if (status == lock_status::owner_died) return lockable<Lock>::locked(status);
    return thread_sanitizer_locked(this, status);
  }
};

} // namespace deadbolt::inline DEADBOLT_ABI::detail
#endif
