// SPDX-License-Identifier: MIT
// What a lock operation came to.
#ifndef DEADBOLT_LOCK_RESULT_HPP
#define DEADBOLT_LOCK_RESULT_HPP

#include <cstdint>

namespace deadbolt {

enum class lock_status : std::uint32_t {
  acquired,   // the caller holds the lock
  owner_died, // the caller holds the lock; its last owner died and the data may be half-written
  not_recoverable, // not held: an owner that was told owner_died unlocked without mark_consistent()
  busy,            // not held: another thread holds it (try_lock)
  timed_out,       // not held: the time came first
  deadlock,        // not held anew: the caller holds it already
  too_many_holds,  // not held: the caller has as many shared holds as it may (shared_mutex)
};

enum class unlock_status : std::uint32_t {
  released,  // the lock is free, or the next owner's
  not_owner, // nothing was done: the caller does not hold it
};

// Names as written above; for messages.
[[nodiscard, gnu::visibility("default")]] const char* to_string(lock_status status) noexcept;
[[nodiscard, gnu::visibility("default")]] const char* to_string(unlock_status status) noexcept;

namespace detail {
// Ends the process: a result that must be looked at was dropped.
[[noreturn, gnu::visibility("default")]] void abort_unexamined(lock_status status,
                                                               const void* lock) noexcept;
} // namespace detail

// A lock_status that cannot be dropped unless it is `acquired`, or a plain
// "busy" or "timed_out" from a try.
//
// Standard wrappers (std::unique_lock, std::scoped_lock) look at a lock's result
// as a bool or not at all. For them the conversion to bool says "held", and a
// result that says something more - owner_died first of all - ends the process
// with a message when it is destroyed before anyone called status(). A program
// that wants to go on after its owner died either looks at the result or wraps
// the lock in deadbolt::with_recovery.
class [[nodiscard]] lock_result {
public:
  lock_result(lock_status status, const void* lock) noexcept
      : status_{status}, examined_{may_be_dropped(status)}, lock_{lock} {}
  lock_result(const lock_result&) = delete;
  lock_result& operator=(const lock_result&) = delete;
  ~lock_result() {
    if (!examined_) detail::abort_unexamined(status_, lock_);
  }

  [[nodiscard]] lock_status status() const noexcept {
    examined_ = true;
    return status_;
  }
  // Held: acquired or owner_died. Does not count as looking at an owner's death.
  operator bool() const noexcept {
    return status_ == lock_status::acquired || status_ == lock_status::owner_died;
  }
  [[nodiscard]] friend bool operator==(const lock_result& result, lock_status status) noexcept {
    return result.status() == status;
  }

private:
  static constexpr bool may_be_dropped(lock_status status) noexcept {
    return status == lock_status::acquired || status == lock_status::busy ||
           status == lock_status::timed_out;
  }

  lock_status status_;
  mutable bool examined_;
  const void* lock_;
};

} // namespace deadbolt
#endif
