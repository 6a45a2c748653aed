// SPDX-License-Identifier: MIT
// Interruptible waits: a stop_flag or a signal handler can end a wait for a lock in a region.
#ifndef DEADBOLT_STOP_FLAG_HPP
#define DEADBOLT_STOP_FLAG_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/lockable.hpp>
#include <deadbolt/detail/thread_safety.h>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>

#include <chrono>
#include <cstdint>

namespace deadbolt::inline DEADBOLT_ABI {

// A flag that ends the interruptible waits to which it was given. In memory that processes share it
// ends the waits of each of them. Zeroed memory is a flag that is not set.
//
// Any thread may set it, also in a signal handler. A handler that only returns ends the wait of a
// thread that is asleep, but not of a thread that is about to fall asleep. Where a signal must end
// the wait for sure, its handler sets a flag. A flag stays set until clear(), and ends every later
// wait too.
class [[gnu::visibility("default")]] stop_flag {
public:
  constexpr stop_flag() noexcept = default;
  ~stop_flag() = default;
  stop_flag(const stop_flag&) = delete;
  stop_flag& operator=(const stop_flag&) = delete;

  void set() noexcept;
  void clear() noexcept {
    __atomic_store_n(&word_, 0, __ATOMIC_RELAXED);
  }
  [[nodiscard]] bool is_set() const noexcept {
    return __atomic_load_n(&word_, __ATOMIC_ACQUIRE) != 0;
  }

  // A futex: 0, or 1 when set.
  [[nodiscard]] const std::uint32_t* native_handle() const noexcept {
    return &word_;
  }

private:
  std::uint32_t word_ = 0;
};

static_assert(sizeof(stop_flag) == 4);

namespace detail {

// What ends a wait, besides the lock.
struct wait_limits {
  const deadline* until = nullptr; // nullptr: no deadline
  bool interruptible = false;      // by a signal handler that runs during a sleep
  const stop_flag* stop = nullptr;
};

// In static memory, so that an uncontended lock does not have to make one.
inline constexpr wait_limits no_limits{};

// Calls lock(limits) for a time on any clock.
template <class Clock, class Duration, class Lock>
lock_status lock_interruptible_until(const std::chrono::time_point<Clock, Duration>& time,
                                     const stop_flag* stop, Lock&& lock) {
  return detail::lock_until(time, [&](deadline until) noexcept {
    return lock(wait_limits{.until = &until, .interruptible = true, .stop = stop});
  });
}

// The base of a region's lock. `Lock` befriends it and has
//   lock_status acquire_within(const wait_limits&) noexcept;
template <class Lock>
class DEADBOLT_CAPABILITY("mutex") interruptible_lockable {
public:
  // As lock(), and the wait ends with `interrupted`, the lock not held, when `stop` is set, or when
  // a signal handler that was installed without SA_RESTART has run while the thread slept. If the
  // lock is free when the wait ends, the thread acquires it, and the result says so.
  try_lock_result lock_interruptible(const stop_flag* stop = nullptr) noexcept
      DEADBOLT_RETURNS_LOCK(*this) {
    const wait_limits limits{.interruptible = true, .stop = stop};
    return {static_cast<lockable<Lock>&>(self()).locked(self().acquire_within(limits)), &self()};
  }
  template <class Clock, class Duration>
  try_lock_result lock_interruptible_until(const std::chrono::time_point<Clock, Duration>& time,
                                           const stop_flag* stop = nullptr)
      DEADBOLT_RETURNS_LOCK(*this) {
    const lock_status status =
        detail::lock_interruptible_until(time, stop, [this](const wait_limits& limits) noexcept {
          return self().acquire_within(limits);
        });
    return {static_cast<lockable<Lock>&>(self()).locked(status), &self()};
  }
  template <class Rep, class Period>
  try_lock_result lock_interruptible_for(const std::chrono::duration<Rep, Period>& duration,
                                         const stop_flag* stop = nullptr)
      DEADBOLT_RETURNS_LOCK(*this) {
    return lock_interruptible_until(steady_time_after(duration), stop);
  }

private:
  Lock& self() noexcept { return static_cast<Lock&>(*this); }
};

// The same for a lock that readers share, which has
//   lock_status acquire_shared_within(const wait_limits&) noexcept;
template <class Lock>
class DEADBOLT_CAPABILITY("shared_mutex") interruptible_shared_lockable
    : public interruptible_lockable<Lock> {
public:
  try_lock_shared_result lock_shared_interruptible(const stop_flag* stop = nullptr) noexcept
      DEADBOLT_RETURNS_LOCK(*this) {
    const wait_limits limits{.interruptible = true, .stop = stop};
    return {static_cast<shared_lockable<Lock>&>(self()).locked_shared(
                self().acquire_shared_within(limits)),
            &self()};
  }
  template <class Clock, class Duration>
  try_lock_shared_result
  lock_shared_interruptible_until(const std::chrono::time_point<Clock, Duration>& time,
                                  const stop_flag* stop = nullptr) DEADBOLT_RETURNS_LOCK(*this) {
    const lock_status status =
        detail::lock_interruptible_until(time, stop, [this](const wait_limits& limits) noexcept {
          return self().acquire_shared_within(limits);
        });
    return {static_cast<shared_lockable<Lock>&>(self()).locked_shared(status), &self()};
  }
  template <class Rep, class Period>
  try_lock_shared_result
  lock_shared_interruptible_for(const std::chrono::duration<Rep, Period>& duration,
                                const stop_flag* stop = nullptr) DEADBOLT_RETURNS_LOCK(*this) {
    return lock_shared_interruptible_until(steady_time_after(duration), stop);
  }

private:
  Lock& self() noexcept { return static_cast<Lock&>(*this); }
};

} // namespace detail

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
