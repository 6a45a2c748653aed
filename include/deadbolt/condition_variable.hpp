// SPDX-License-Identifier: MIT
// A condition variable in a region. Waiters re-check after a second even if a notifier dies.
#ifndef DEADBOLT_CONDITION_VARIABLE_HPP
#define DEADBOLT_CONDITION_VARIABLE_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>
#include <deadbolt/mutex.hpp>

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
  not_recoverable, // the mutex is not held, and never will be
  not_owner,       // nothing was done: the caller did not hold the mutex
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(wait_status status) noexcept;

namespace detail {
[[noreturn, gnu::visibility("default")]] void abort_unexamined(wait_status status,
                                                               const void* lock) noexcept;
} // namespace detail

// A wait_status that cannot be dropped when it says that an owner died, or that the
// mutex is not held: as lock_result, such a result ends the process with a message when it
// is destroyed before anyone called status().
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
  // True if awake, as the standard's forms with a predicate return. Does not count as examining
  // the result.
  operator bool() const noexcept { return status_ == wait_status::awake; }
  [[nodiscard]] friend bool operator==(const wait_result& result, wait_status status) noexcept {
    return result.status() == status;
  }

private:
  static constexpr bool may_be_dropped(wait_status status) noexcept {
    return status == wait_status::awake || status == wait_status::timed_out;
  }

  wait_status status_;
  mutable bool examined_;
  const void* lock_;
};

// Place it anywhere in an open region's data, as a mutex; zeroed memory is a condition variable
// without waiters. All threads that wait at the same time use the same mutex, by whose lock()
// they became members of the region (<deadbolt/mutex.hpp>).
//
// A wait returns at most region::longest_sleep() (1 s, unless set otherwise) after it fell asleep:
// as a spurious wakeup if there was no notify. A waiter therefore looks at the data again within
// that time, plus the mutex's own bound, whichever thread dies at whatever instruction: a waiter
// that was woken and has not acted, a notifier between its change of the data and its notify, an
// owner of the mutex. An idle waiter wakes up so often, and no more.
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
  wait_result wait(mutex & lock) noexcept {
    return {wait_once(lock, nullptr), &lock};
  }

  // Results: those of wait(), and timed_out. Times as in mutex.
  template <class Clock, class Duration>
  wait_result wait_until(mutex & lock, const std::chrono::time_point<Clock, Duration>& time) {
    return {status_until(lock, time), &lock};
  }
  template <class Rep, class Period>
  wait_result wait_for(mutex & lock, const std::chrono::duration<Rep, Period>& duration) {
    return wait_until(lock, detail::steady_time_after(duration));
  }

  // Waits until the predicate, called with the mutex held, is true. Also returns with
  // owner_died (the predicate is not called on data that may be half-written: repair, mark
  // consistent, wait again), not_recoverable and not_owner.
  template <class Predicate>
  wait_result wait(mutex & lock, Predicate predicate) {
    while (!predicate()) {
      const wait_status status = wait_once(lock, nullptr);
      if (status != wait_status::awake) return {status, &lock};
    }
    return {wait_status::awake, &lock};
  }
  template <class Clock, class Duration, class Predicate>
  wait_result wait_until(mutex & lock, const std::chrono::time_point<Clock, Duration>& time,
                         Predicate predicate) {
    while (!predicate()) {
      const wait_status status = status_until(lock, time);
      if (status == wait_status::timed_out)
        return {predicate() ? wait_status::awake : wait_status::timed_out, &lock};
      if (status != wait_status::awake) return {status, &lock};
    }
    return {wait_status::awake, &lock};
  }
  template <class Rep, class Period, class Predicate>
  wait_result wait_for(mutex & lock, const std::chrono::duration<Rep, Period>& duration,
                       Predicate predicate) {
    return wait_until(lock, detail::steady_time_after(duration), std::move(predicate));
  }

  // The same with a std::unique_lock. After a wait that returns without the mutex
  // (not_recoverable, not_owner) the unique_lock no longer owns it.
  template <class... Arguments>
  wait_result wait(std::unique_lock<mutex> & lock, Arguments && ... arguments) {
    return settle(lock, [&](mutex& m) -> wait_result {
      return wait(m, std::forward<Arguments>(arguments)...);
    });
  }
  template <class... Arguments>
  wait_result wait_until(std::unique_lock<mutex> & lock, Arguments && ... arguments) {
    return settle(lock, [&](mutex& m) -> wait_result {
      return wait_until(m, std::forward<Arguments>(arguments)...);
    });
  }
  template <class... Arguments>
  wait_result wait_for(std::unique_lock<mutex> & lock, Arguments && ... arguments) {
    return settle(lock, [&](mutex& m) -> wait_result {
      return wait_for(m, std::forward<Arguments>(arguments)...);
    });
  }

  // The word, for messages and tools: a futex.
  [[nodiscard]] const std::uint32_t* native_handle() const noexcept {
    return &word_;
  }

private:
  // nullptr: no deadline.
  wait_status wait_for_notify(mutex & lock, const detail::deadline* deadline) noexcept;

  wait_status wait_once(mutex & lock, const detail::deadline* deadline) noexcept {
    detail::thread_sanitizer_unlocks(&lock);
    const wait_status status = wait_for_notify(lock, deadline);
    if (status != wait_status::not_recoverable && status != wait_status::not_owner)
      detail::thread_sanitizer_acquires(&lock);
    return status;
  }

  template <class Clock, class Duration>
  wait_status status_until(mutex & lock, const std::chrono::time_point<Clock, Duration>& time) {
    using namespace std::chrono;
    if constexpr (std::is_same_v<Clock, steady_clock> || std::is_same_v<Clock, system_clock>) {
      const detail::deadline deadline{std::is_same_v<Clock, system_clock>,
                                      detail::clamped_nanoseconds(time.time_since_epoch())};
      return wait_once(lock, &deadline);
    } else {
      // A clock that no futex can sleep by is read again after each sleep.
      const auto left = [&] {
        return detail::wide_nanoseconds{time.time_since_epoch()} -
               detail::wide_nanoseconds{Clock::now().time_since_epoch()};
      };
      const detail::deadline deadline{
          false, detail::clamped_nanoseconds(detail::steady_time_after(left()).time_since_epoch())};
      const wait_status status = wait_once(lock, &deadline);
      // Not `> 0`: a time that is not a number is over.
      if (status == wait_status::timed_out && left().count() > 0) return wait_status::awake;
      return status;
    }
  }

  template <class Wait>
  static wait_result settle(std::unique_lock<mutex> & lock, Wait && wait) {
    if (!lock.owns_lock()) return {wait_status::not_owner, lock.mutex()};
    mutex* const held = lock.mutex();
    letting_go guard{lock};
    const wait_status status = wait(*held).status();
    guard.still_held = status != wait_status::not_recoverable && status != wait_status::not_owner;
    return {status, held};
  }
  struct letting_go {
    std::unique_lock<mutex>& lock;
    bool still_held = true; // also when a predicate throws
    ~letting_go() {
      if (!still_held) static_cast<void>(lock.release());
    }
  };

  std::uint32_t word_ = 0; // bit 0: a waiter may be asleep; the rest counts notifies
};

static_assert(sizeof(condition_variable) == 4);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
