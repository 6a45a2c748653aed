// SPDX-License-Identifier: MIT
// A condition variable in a region. Waiters re-check after a second even if a notifier dies.
#ifndef DEADBOLT_CONDITION_VARIABLE_HPP
#define DEADBOLT_CONDITION_VARIABLE_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/stop_flag.hpp>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <type_traits>
#include <utility>

namespace deadbolt::inline DEADBOLT_ABI {

enum class wait_status : std::uint32_t {
  awake,      // the mutex is held: notified, or a spurious wakeup; with a predicate: it is true
  timed_out,  // the mutex is held: the deadline passed first; with a predicate: it is false
  owner_died, // the mutex is held; its last owner died and the data may be half-written
  not_recoverable, // the mutex is not held, and no thread can lock it any more; or it is a
                   // robust_pi_mutex, whose lock() returned deadlock or not_recoverable: see there
  not_owner,       // the caller did not hold the mutex, and did not sleep
  interrupted,     // the mutex is held: a stop_flag or a signal handler ended the wait
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(wait_status status) noexcept;

namespace detail {
// A lock itself, not a std::unique_lock of one.
template <class Lock>
concept bare_lock = !requires(Lock & lock) {
  lock.owns_lock();
};

[[noreturn, gnu::visibility("default")]] void abort_unexamined(wait_status status,
                                                               const void* lock) noexcept;
} // namespace detail

// A wait_status that cannot be dropped when it says that an owner died, or that the mutex is not
// held: as lock_result, such a result ends the process with a message when it is destroyed before
// status() was called.
class [[nodiscard]] wait_result {
public:
  wait_result(wait_status status, const void* lock) noexcept
      : status_{status}, examined_{may_be_dropped(status)}, lock_{lock} {}
  wait_result(const wait_result&) = delete;
  wait_result& operator=(const wait_result&) = delete;
  ~wait_result() {
    if (!examined_) detail::abort_unexamined(status_, lock_);
  }

  [[nodiscard]] wait_status status() const noexcept {
    examined_ = true;
    return status_;
  }
  // True if awake: what std::condition_variable's waits with a predicate return. Does not count as
  // examining the result.
  operator bool() const noexcept { return status_ == wait_status::awake; }
  [[nodiscard]] friend bool operator==(const wait_result& result, wait_status status) noexcept {
    return result.status() == status;
  }

private:
  static constexpr bool may_be_dropped(wait_status status) noexcept {
    return status == wait_status::awake || status == wait_status::timed_out ||
           status == wait_status::interrupted;
  }

  wait_status status_;
  mutable bool examined_;
  const void* lock_;
};

// Place it anywhere in an open region's data, as a mutex; zeroed memory is a condition variable
// without waiters. All threads that wait at the same time use the same mutex. Waiting and notifying
// need no membership of the region; a region's mutex makes the thread a member when it is locked
// (<deadbolt/mutex.hpp>).
//
// A wait returns at most region::longest_sleep() after it fell asleep (by default 1 s, or 100 ms in
// a process that can have no membership lock): as a spurious wakeup if there was no notify.
// Therefore a waiter looks at the data again within that time, plus the mutex's own bound, wherever
// another thread dies: a waiter that was woken and has not acted yet, a notifier between its change
// of the data and its notify, or an owner of the mutex. An idle waiter wakes up once in that time.
//
// Its memory may be reused or unmapped as soon as no thread will start an operation on it
// and no notify is in progress, even if notified waiters have not returned yet: neither those
// waiters nor the kernel at their death write there.
class [[gnu::visibility("default")]] condition_variable {
public:
  static constexpr std::uint32_t object_kind =
      3; // detail::object_kind, for region::find_or_construct

  constexpr condition_variable() noexcept = default;
  ~condition_variable() = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  // Wakes one waiter, or all of them. The caller need not be a member of the region.
  void notify_one() noexcept;
  void notify_all() noexcept;

  // Releases the mutex, sleeps, and takes the mutex again. A caller that was told
  // owner_died calls mark_consistent() first, as before any other unlock. Results: awake,
  // owner_died, not_recoverable, not_owner.
  //
  // `lock` is a deadbolt::mutex, or another lock of this library that is held exclusively:
  // shared_mutex, robust_mutex, robust_pi_mutex (which the waiter takes again at its own priority);
  // or a with_recovery of one, which repairs and throws as its lock() does and never gives
  // owner_died, not_recoverable or not_owner: the caller must hold it.
  template <detail::bare_lock Lock>
  wait_result wait(Lock & lock) {
    return {wait_once(lock, {}), &lock};
  }

  // Results: those of wait(), and timed_out. Times as in mutex.
  template <detail::bare_lock Lock, class Clock, class Duration>
  wait_result wait_until(Lock & lock, const std::chrono::time_point<Clock, Duration>& time) {
    return {status_until(lock, time, {}), &lock};
  }
  template <detail::bare_lock Lock, class Rep, class Period>
  wait_result wait_for(Lock & lock, const std::chrono::duration<Rep, Period>& duration) {
    return wait_until(lock, detail::steady_time_after(duration));
  }

  // Waits until the predicate, called with the mutex held, is true. Also returns with
  // owner_died (the predicate is not called on data that may be half-written: repair, mark
  // consistent, wait again), not_recoverable and not_owner.
  template <detail::bare_lock Lock, class Predicate>
  wait_result wait(Lock & lock, Predicate predicate) {
    return wait_while([&] { return wait_once(lock, {}); }, &lock, predicate);
  }
  template <detail::bare_lock Lock, class Clock, class Duration, class Predicate>
  wait_result wait_until(Lock & lock, const std::chrono::time_point<Clock, Duration>& time,
                         Predicate predicate) {
    return wait_while([&] { return status_until(lock, time, {}); }, &lock, predicate);
  }
  template <detail::bare_lock Lock, class Rep, class Period, class Predicate>
  wait_result wait_for(Lock & lock, const std::chrono::duration<Rep, Period>& duration,
                       Predicate predicate) {
    return wait_until(lock, detail::steady_time_after(duration), std::move(predicate));
  }

  // The same, and the sleep ends with `interrupted` when `stop` (nullptr: none) is set or when a
  // signal handler that was installed without SA_RESTART has run during it. The thread has then
  // locked the mutex again, which nothing interrupts. A call with a predicate returns `interrupted`
  // only if the predicate is false.
  template <detail::bare_lock Lock>
  wait_result wait_interruptible(Lock & lock, const stop_flag* stop) {
    return {wait_once(lock, interruptible(stop)), &lock};
  }
  template <detail::bare_lock Lock, class Predicate>
  wait_result wait_interruptible(Lock & lock, const stop_flag* stop, Predicate predicate) {
    return wait_while([&] { return wait_once(lock, interruptible(stop)); }, &lock, predicate);
  }
  template <detail::bare_lock Lock, class Clock, class Duration>
  wait_result wait_interruptible_until(
      Lock & lock, const std::chrono::time_point<Clock, Duration>& time, const stop_flag* stop) {
    return {status_until(lock, time, interruptible(stop)), &lock};
  }
  template <detail::bare_lock Lock, class Clock, class Duration, class Predicate>
  wait_result wait_interruptible_until(Lock & lock,
                                       const std::chrono::time_point<Clock, Duration>& time,
                                       const stop_flag* stop, Predicate predicate) {
    return wait_while([&] { return status_until(lock, time, interruptible(stop)); }, &lock,
                      predicate);
  }

  // The same with a std::unique_lock. After a wait that returns, or throws, without the mutex
  // (not_recoverable, not_owner) the unique_lock no longer owns it.
  template <class Lock, class... Arguments>
  wait_result wait(std::unique_lock<Lock> & lock, Arguments && ... arguments) {
    return settle(lock,
                  [&](auto& m) { return wait(m, std::forward<Arguments>(arguments)...).status(); });
  }
  template <class Lock, class... Arguments>
  wait_result wait_until(std::unique_lock<Lock> & lock, Arguments && ... arguments) {
    return settle(lock, [&](auto& m) {
      return wait_until(m, std::forward<Arguments>(arguments)...).status();
    });
  }
  template <class Lock, class... Arguments>
  wait_result wait_for(std::unique_lock<Lock> & lock, Arguments && ... arguments) {
    return settle(
        lock, [&](auto& m) { return wait_for(m, std::forward<Arguments>(arguments)...).status(); });
  }
  template <class Lock, class... Arguments>
  wait_result wait_interruptible(std::unique_lock<Lock> & lock, Arguments && ... arguments) {
    return settle(lock, [&](auto& m) {
      return wait_interruptible(m, std::forward<Arguments>(arguments)...).status();
    });
  }
  template <class Lock, class... Arguments>
  wait_result wait_interruptible_until(std::unique_lock<Lock> & lock, Arguments && ... arguments) {
    return settle(lock, [&](auto& m) {
      return wait_interruptible_until(m, std::forward<Arguments>(arguments)...).status();
    });
  }

  // The word, for messages and tools: a futex.
  [[nodiscard]] const std::uint32_t* native_handle() const noexcept {
    return &word_;
  }

private:
  // With the mutex held: sets the bit that says that a thread may be asleep. Returns the value of
  // the word on which the thread then sleeps.
  std::uint32_t announce_sleep() noexcept;
  // Results: awake, timed_out, interrupted.
  wait_status sleep(std::uint32_t ticket, const detail::wait_limits& limits) const noexcept;

  static detail::wait_limits interruptible(const stop_flag* stop) noexcept {
    return {.interruptible = true, .stop = stop};
  }

  template <class Lock>
  DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis)
  wait_status wait_once(Lock & lock, const detail::wait_limits& limits) {
    const std::uint32_t ticket = announce_sleep();
    if constexpr (std::is_void_v<decltype(lock.unlock())>) {
      lock.unlock();
      const wait_status end = sleep(ticket, limits);
      lock.lock();
      return end;
    } else {
      if (lock.unlock() != unlock_status::released) return wait_status::not_owner;
      const wait_status end = sleep(ticket, limits);
      switch (lock.lock().status()) {
      case lock_status::acquired:
        return end;
      case lock_status::owner_died:
        return wait_status::owner_died;
      default:
        return wait_status::not_recoverable;
      }
    }
  }

  template <class Lock, class Clock, class Duration>
  wait_status status_until(Lock & lock, const std::chrono::time_point<Clock, Duration>& time,
                           detail::wait_limits limits) {
    using namespace std::chrono;
    if constexpr (std::is_same_v<Clock, steady_clock> || std::is_same_v<Clock, system_clock>) {
      const detail::deadline deadline{std::is_same_v<Clock, system_clock>,
                                      detail::clamped_nanoseconds(time.time_since_epoch())};
      limits.until = &deadline;
      return wait_once(lock, limits);
    } else {
      // A clock that no futex can sleep by is read again after each sleep.
      const auto left = [&] {
        return detail::wide_nanoseconds{time.time_since_epoch()} -
               detail::wide_nanoseconds{Clock::now().time_since_epoch()};
      };
      const detail::deadline deadline{
          false, detail::clamped_nanoseconds(detail::steady_time_after(left()).time_since_epoch())};
      limits.until = &deadline;
      const wait_status status = wait_once(lock, limits);
      // A time that is not a number is not greater than 0: it is over.
      if (status == wait_status::timed_out && left().count() > 0) return wait_status::awake;
      return status;
    }
  }

  template <class Wait, class Predicate>
  static wait_result wait_while(Wait && wait, const void* lock, Predicate& predicate) {
    while (!predicate()) {
      const wait_status status = wait();
      if (status == wait_status::timed_out || status == wait_status::interrupted)
        return {predicate() ? wait_status::awake : status, lock};
      if (status != wait_status::awake) return {status, lock};
    }
    return {wait_status::awake, lock};
  }

  // A lock that knows whether it is held, also when taking it again throws.
  template <class Lock>
  struct watched_lock {
    std::unique_lock<Lock>& owner;
    Lock& lock_;
    bool held = true;

    explicit watched_lock(std::unique_lock<Lock>& of) noexcept : owner{of}, lock_{*of.mutex()} {}
    watched_lock(const watched_lock&) = delete;
    watched_lock& operator=(const watched_lock&) = delete;
    ~watched_lock() {
      if (!held) static_cast<void>(owner.release());
    }
    DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis) decltype(auto) unlock() {
      held = false;
      return lock_.unlock();
    }
    DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis) decltype(auto) lock() {
      if constexpr (std::is_void_v<decltype(lock_.lock())>) {
        lock_.lock();
        held = true;
      } else {
        auto result = lock_.lock();
        held = result;
        return result;
      }
    }
  };
  template <class Lock, class Wait>
  static wait_result settle(std::unique_lock<Lock> & lock, Wait && wait) {
    if (!lock.owns_lock()) return {wait_status::not_owner, lock.mutex()};
    watched_lock<Lock> held{lock};
    return {wait(held), &held.lock_};
  }

  std::uint32_t word_ = 0; // bit 0: a waiter may be asleep; the rest counts notifies
};

static_assert(sizeof(condition_variable) == 4);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
