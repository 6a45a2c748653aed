// SPDX-License-Identifier: MIT
// The results of lock operations.
#ifndef DEADBOLT_LOCK_RESULT_HPP
#define DEADBOLT_LOCK_RESULT_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_safety.h>

#include <cstdint>
#include <utility>

namespace deadbolt::inline DEADBOLT_ABI {

enum class lock_status : std::uint32_t {
  acquired,   // the caller holds the lock
  owner_died, // the caller holds the lock; its last owner died and the data may be half-written
  not_recoverable, // not held: an owner that was told owner_died unlocked without
                   // mark_consistent(); or the kernel finds no owner (robust_pi_mutex)
  busy,            // not acquired: another thread or the caller holds it (try_lock)
  timed_out,       // not held: the deadline passed first
  deadlock,        // not acquired: the caller would wait for itself, as a rule because it holds the
                   // lock already
  too_many_holds,  // not held: the caller has the most shared holds it may have (shared_mutex)
  cannot_attach,   // not held: the caller cannot become a member of the lock's region now;
                   // last_attach_failure() has the reason
  interrupted,     // not held: a stop_flag or a signal handler ended the wait
};

enum class unlock_status : std::uint32_t {
  released,  // the caller no longer holds the lock
  not_owner, // nothing was done: the caller does not hold it
};

// The names as written above; for messages.
[[nodiscard, gnu::visibility("default")]] const char* to_string(lock_status status) noexcept;
[[nodiscard, gnu::visibility("default")]] const char* to_string(unlock_status status) noexcept;

namespace detail {
// Ends the process, because a result was destroyed before status() was called on it.
[[noreturn, gnu::visibility("default")]] void abort_unexamined(lock_status status,
                                                               const void* lock) noexcept;
} // namespace detail

// A lock_status that the caller must examine: unless it is acquired, busy, timed_out or
// interrupted, it ends the process with a message if it is destroyed before status() was called.
//
// Standard wrappers (std::unique_lock, std::scoped_lock) do not examine a lock's result: they
// ignore it or convert it to bool, which says whether the lock is held. So a program that is to
// continue after an owner's death calls status(), or wraps the lock in deadbolt::with_recovery.
class [[nodiscard]] lock_result {
public:
  lock_result(lock_status status, const void* lock) noexcept
      : status_{status}, examined_{may_be_dropped(status)}, lock_{lock} {}
  // The duty to examine the result moves with it.
  lock_result(lock_result&& other) noexcept
      : status_{other.status_}, examined_{std::exchange(other.examined_, true)}, lock_{
                                                                                     other.lock_} {}
  lock_result& operator=(const lock_result&) = delete;
  ~lock_result() {
    if (!examined_) detail::abort_unexamined(status_, lock_);
  }

  [[nodiscard]] lock_status status() const noexcept {
    examined_ = true;
    return status_;
  }
  // Held: acquired or owner_died. Does not count as examining an owner's death.
  operator bool() const noexcept {
    return status_ == lock_status::acquired || status_ == lock_status::owner_died;
  }
  [[nodiscard]] friend bool operator==(const lock_result& result, lock_status status) noexcept {
    return result.status() == status;
  }

private:
  static constexpr bool may_be_dropped(lock_status status) noexcept {
    return status == lock_status::acquired || status == lock_status::busy ||
           status == lock_status::timed_out || status == lock_status::interrupted;
  }

  lock_status status_;
  mutable bool examined_;
  const void* lock_;
};

// The result of a function that may return without the lock. A type of its own so that
// clang's -Wthread-safety understands `if (lock.try_lock())`.
class [[nodiscard]] DEADBOLT_CAPABILITY("mutex") try_lock_result : public lock_result {
public:
  using lock_result::lock_result;
  operator bool() const& noexcept { return lock_result::operator bool(); }
  operator bool() && noexcept DEADBOLT_TRY_ACQUIRES(true) { return lock_result::operator bool(); }
};

// The same for a shared hold, under which the analysis allows no write. Derived, so that
// `reads ? lock.try_lock_shared() : lock.try_lock()` is a try_lock_result.
class [[nodiscard]] DEADBOLT_CAPABILITY("mutex") try_lock_shared_result : public try_lock_result {
public:
  using try_lock_result::try_lock_result;
  operator bool() const& noexcept { return lock_result::operator bool(); }
  operator bool() && noexcept DEADBOLT_TRY_ACQUIRES_SHARED(true) {
    return lock_result::operator bool();
  }
};

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
