// SPDX-License-Identifier: MIT
// A readers-writer lock in a region: it survives the death of readers and writers, and
// its memory may be reused the instant after the last unlock.
#ifndef DEADBOLT_SHARED_MUTEX_HPP
#define DEADBOLT_SHARED_MUTEX_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>

#include <chrono>
#include <cstdint>

namespace deadbolt::inline DEADBOLT_ABI {

namespace detail {
// The lock's 16 bytes; bits: src/region/format.hpp, docs/region.md.
struct shared_mutex_words {
  alignas(8) std::uint64_t writer = 0; // as a mutex's word
  std::uint32_t readers = 0;           // where to look for readers: never cleared
  std::uint32_t state = 0;             // what the writer word's owner does
};
} // namespace detail

// One writer, or any number of readers. Place it as a mutex: anywhere in an open region's
// data; zeroed memory is an unlocked one. What is said of membership, signal handlers and
// vfork there (<deadbolt/mutex.hpp>) is true here.
//
// A killed reader's hold ends with it, exactly, and nobody is told: a reader cannot leave
// data half-written. A death while waiting, also for the last readers to leave, is not
// told either. Who follows a writer that died inside is told owner_died, reader or writer,
// and has the lock alone until it unlocks.
//
// New readers wait for a writer that has announced itself, so that readers cannot starve
// writers; writers that follow each other closely can delay readers, as they can each
// other.
class [[gnu::visibility("default")]] shared_mutex {
public:
  // Shared holds that a thread may have in one region at a time.
  static constexpr std::uint32_t object_kind =
      2; // detail::object_kind, for region::find_or_construct
  static constexpr std::uint32_t most_shared_holds = 256;

  constexpr shared_mutex() noexcept = default;
  ~shared_mutex() = default; // nothing is ever written after an unlock: no waiting
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  // Exclusive. Results: acquired, owner_died, not_recoverable, deadlock (the caller
  // holds the lock, either way).
  lock_result lock() noexcept {
    return {locked(acquire()), this};
  }

  // Results: acquired, owner_died, not_recoverable, busy (also when the caller itself
  // holds the lock).
  lock_result try_lock() noexcept {
    return {locked(try_acquire()), this};
  }

  // Results: those of lock(), and timed_out. Times as in mutex.
  template <class Clock, class Duration>
  lock_result try_lock_until(const std::chrono::time_point<Clock, Duration>& time) {
    const lock_status status =
        detail::lock_until(time, [this](detail::deadline d) noexcept { return acquire_until(d); });
    return {locked(status), this};
  }
  template <class Rep, class Period>
  lock_result try_lock_for(const std::chrono::duration<Rep, Period>& duration) {
    return try_lock_until(detail::steady_time_after(duration));
  }

  // Releases an exclusive hold. If the caller was told owner_died and has not called
  // mark_consistent(), the lock becomes not recoverable.
  unlock_status unlock() noexcept {
    detail::thread_sanitizer_unlocks(this);
    return release();
  }

  // Shared. Results: acquired; not_recoverable; deadlock (the caller holds the lock,
  // either way); too_many_holds; and owner_died, with which the caller holds the lock
  // alone, so that it can repair the data, call mark_consistent() and go on reading.
  lock_result lock_shared() noexcept {
    return {locked_shared(acquire_shared()), this};
  }

  // Results: those of lock_shared() with busy for deadlock. Also busy while another is
  // about to have the lock.
  lock_result try_lock_shared() noexcept {
    return {locked_shared(try_acquire_shared()), this};
  }

  // Results: those of lock_shared(), and timed_out.
  template <class Clock, class Duration>
  lock_result try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& time) {
    const lock_status status = detail::lock_until(
        time, [this](detail::deadline d) noexcept { return acquire_shared_until(d); });
    return {locked_shared(status), this};
  }
  template <class Rep, class Period>
  lock_result try_lock_shared_for(const std::chrono::duration<Rep, Period>& duration) {
    return try_lock_shared_until(detail::steady_time_after(duration));
  }

  // Releases what a shared form acquired, with what unlock() says of owner_died.
  unlock_status unlock_shared() noexcept {
    detail::thread_sanitizer_unlocks(&words_.readers);
    return release_shared();
  }

  // Says that the data is whole again after owner_died. False, and nothing done,
  // unless the caller has the lock alone and was told owner_died.
  bool mark_consistent() noexcept {
    detail::thread_sanitizer_unlocks(this); // a reader's repair too is for all who follow
    return mark_writer_consistent();
  }

  // The writer word, for messages and tools; its low half is the futex.
  [[nodiscard]] const std::uint64_t* native_handle() const noexcept {
    return &words_.writer;
  }

private:
  lock_status acquire() noexcept;
  lock_status try_acquire() noexcept;
  lock_status acquire_until(detail::deadline deadline) noexcept;
  lock_status acquire_shared() noexcept;
  lock_status try_acquire_shared() noexcept;
  lock_status acquire_shared_until(detail::deadline deadline) noexcept;
  unlock_status release() noexcept;
  unlock_status release_shared() noexcept;
  bool mark_writer_consistent() noexcept;

  // A writer follows writers and readers, a reader writers alone: readers order nothing
  // among themselves.
  lock_status locked(lock_status status) noexcept {
    detail::thread_sanitizer_locked(&words_.readers, status);
    return detail::thread_sanitizer_locked(this, status);
  }
  lock_status locked_shared(lock_status status) noexcept {
    if (status == lock_status::owner_died) return locked(status);
    return detail::thread_sanitizer_locked(this, status);
  }

  detail::shared_mutex_words words_;
};

static_assert(sizeof(shared_mutex) == 16 && alignof(shared_mutex) == 8);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
