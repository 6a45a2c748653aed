// SPDX-License-Identifier: MIT
// Makes a robust lock fit std::unique_lock, std::scoped_lock and their kin.
#ifndef DEADBOLT_WITH_RECOVERY_HPP
#define DEADBOLT_WITH_RECOVERY_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_safety.h>
#include <deadbolt/lock_result.hpp>

#include <chrono>
#include <system_error>
#include <utility>

namespace deadbolt::inline DEADBOLT_ABI {

// A view of a lock that repairs the data when an owner has died. It is Lockable, and
// TimedLockable and SharedLockable where the lock is:
//
//   deadbolt::with_recovery account{mutex, [&] { return restore(data); }};
//   std::scoped_lock hold{account};
//
// `recover` runs with the lock held and returns whether the data is whole again. If it returns
// false or throws, the view releases the lock without marking it consistent: the lock is not
// recoverable from then on. Where the lock cannot be acquired the view throws std::system_error:
// ENOTRECOVERABLE, EDEADLK when the caller would wait for itself, or EAGAIN for too_many_holds and
// cannot_attach. With deadbolt::undo_log the recovery is one line.
template <class Lock, class Recover>
class DEADBOLT_CAPABILITY("mutex") with_recovery {
public:
  with_recovery(Lock& lock, Recover recover) : lock_{lock}, recover_{std::move(recover)} {}

  void lock() DEADBOLT_ACQUIRES() { static_cast<void>(settle(lock_.lock())); }
  [[nodiscard]] bool try_lock() DEADBOLT_TRY_ACQUIRES(true) { return settle(lock_.try_lock()); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& duration)
      DEADBOLT_TRY_ACQUIRES(true) {
    return settle(lock_.try_lock_for(duration));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& time)
      DEADBOLT_TRY_ACQUIRES(true) {
    return settle(lock_.try_lock_until(time));
  }
  void unlock() noexcept DEADBOLT_RELEASES() { static_cast<void>(lock_.unlock()); }

  // For a lock that has them. A reader that recovers holds the lock alone until unlock_shared().
  void lock_shared() DEADBOLT_ACQUIRES_SHARED() { static_cast<void>(settle(lock_.lock_shared())); }
  [[nodiscard]] bool try_lock_shared() DEADBOLT_TRY_ACQUIRES_SHARED(true) {
    return settle(lock_.try_lock_shared());
  }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& duration)
      DEADBOLT_TRY_ACQUIRES_SHARED(true) {
    return settle(lock_.try_lock_shared_for(duration));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& time)
      DEADBOLT_TRY_ACQUIRES_SHARED(true) {
    return settle(lock_.try_lock_shared_until(time));
  }
  void unlock_shared() noexcept DEADBOLT_RELEASES_ANY() {
    static_cast<void>(lock_.unlock_shared());
  }

private:
  // Releases the lock unless told otherwise, also when `recover` throws.
  struct release_unless_kept {
    Lock& lock;
    bool kept = false;
    ~release_unless_kept() {
      if (!kept) static_cast<void>(lock.unlock());
    }
  };

  bool settle(lock_result result) DEADBOLT_THREAD_SAFETY(no_thread_safety_analysis) {
    switch (result.status()) {
    case lock_status::acquired:
      return true;
    case lock_status::busy:
    case lock_status::timed_out:
    case lock_status::interrupted:
      return false;
    case lock_status::owner_died: {
      release_unless_kept held{lock_};
      if (!recover_()) break;
      lock_.mark_consistent();
      held.kept = true;
      return true;
    }
    case lock_status::deadlock:
      throw std::system_error{std::make_error_code(std::errc::resource_deadlock_would_occur),
                              "deadbolt: the calling thread holds this lock already, or "
                              "its owner waits for a lock that the calling thread holds"};
    case lock_status::too_many_holds:
      throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again),
                              "deadbolt: the calling thread has as many shared holds as it may"};
    case lock_status::cannot_attach:
      throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again),
                              "deadbolt: the calling thread cannot become a member of the region; "
                              "deadbolt::last_attach_failure() has the reason"};
    case lock_status::not_recoverable:
      break;
    }
    throw std::system_error{std::make_error_code(std::errc::state_not_recoverable),
                            "deadbolt: the lock is not recoverable: a former owner died and the "
                            "data was not repaired, or the kernel does not find the owner of a "
                            "robust_pi_mutex"};
  }

  Lock& lock_;
  Recover recover_;
};

template <class Lock, class Recover>
with_recovery(Lock&, Recover) -> with_recovery<Lock, Recover>;

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
