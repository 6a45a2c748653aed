// SPDX-License-Identifier: MIT
// Makes a robust lock fit std::unique_lock, std::scoped_lock and their kin.
#ifndef DEADBOLT_WITH_RECOVERY_HPP
#define DEADBOLT_WITH_RECOVERY_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/lock_result.hpp>

#include <chrono>
#include <system_error>
#include <utility>

namespace deadbolt::inline DEADBOLT_ABI {

// A view of a lock, Lockable and (where the lock is) TimedLockable and SharedLockable, that repairs
// the data when an owner has died:
//
//   deadbolt::with_recovery account{mutex, [&] { return restore(data); }};
//   std::scoped_lock hold{account};
//
// `recover` runs with the lock held and returns whether the data is whole again.
// If it returns false or throws, the lock is released without being marked
// consistent: it is not recoverable from then on. A lock that cannot be had is a
// std::system_error: ENOTRECOVERABLE, EDEADLK when the caller holds it already, or EAGAIN
// for too_many_holds.
template <class Lock, class Recover>
class with_recovery {
public:
  with_recovery(Lock& lock, Recover recover) : lock_{lock}, recover_{std::move(recover)} {}

  void lock() { static_cast<void>(settle(lock_.lock())); }
  [[nodiscard]] bool try_lock() { return settle(lock_.try_lock()); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& duration) {
    return settle(lock_.try_lock_for(duration));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& time) {
    return settle(lock_.try_lock_until(time));
  }
  void unlock() noexcept { static_cast<void>(lock_.unlock()); }

  // Of a lock that has them. A reader that is to recover has the lock alone.
  void lock_shared() { static_cast<void>(settle(lock_.lock_shared())); }
  [[nodiscard]] bool try_lock_shared() { return settle(lock_.try_lock_shared()); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& duration) {
    return settle(lock_.try_lock_shared_for(duration));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& time) {
    return settle(lock_.try_lock_shared_until(time));
  }
  void unlock_shared() noexcept { static_cast<void>(lock_.unlock_shared()); }

private:
  // Releases the lock unless told otherwise, also when `recover` throws.
  struct release_unless_kept {
    Lock& lock;
    bool kept = false;
    ~release_unless_kept() {
      if (!kept) static_cast<void>(lock.unlock());
    }
  };

  bool settle(lock_result result) {
    switch (result.status()) {
    case lock_status::acquired:
      return true;
    case lock_status::busy:
    case lock_status::timed_out:
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
                              "deadbolt: the calling thread holds this lock already"};
    case lock_status::too_many_holds:
      throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again),
                              "deadbolt: the calling thread has as many shared holds as it may"};
    case lock_status::not_recoverable:
      break;
    }
    throw std::system_error{std::make_error_code(std::errc::state_not_recoverable),
                            "deadbolt: a former owner died and the data was not repaired"};
  }

  Lock& lock_;
  Recover recover_;
};

template <class Lock, class Recover>
with_recovery(Lock&, Recover) -> with_recovery<Lock, Recover>;

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
