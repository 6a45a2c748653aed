// SPDX-License-Identifier: MIT
// A mutex in a region: it survives the death of its owner, and its memory may be
// reused the instant after unlock.
#ifndef DEADBOLT_MUTEX_HPP
#define DEADBOLT_MUTEX_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/lockable.hpp>
#include <deadbolt/lock_owner.hpp>
#include <deadbolt/stop_flag.hpp>

#include <cstdint>

namespace deadbolt::inline DEADBOLT_ABI {

namespace detail {
// The mutex's 16 bytes; bits: src/region/format.hpp, docs/region.md.
struct mutex_words {
  alignas(8) std::uint64_t word = 0;
  std::uint32_t waiting = 0;    // not 0: a waiter is about to sleep, and asks for a wake
  std::uint16_t spins = 0;      // how long waiters have lately spun; racy on purpose
  std::uint8_t revocations = 0; // how often a bias of this mutex was revoked
  std::uint8_t plain_after = 0; // how many more owners unlock by an atomic operation; racy, too
};
} // namespace detail

// Place it anywhere in an open region's data, in structs of your own; zeroed memory is an
// unlocked mutex. The processes may differ in libc, word size, PID namespace and user. A thread
// may hold any number of mutexes.
//
// A thread that is not yet a member of the region becomes one when it locks. If that is impossible
// (the table is full, no memory) the result is cannot_attach, and last_attach_failure() has the
// reason. If the mutex is in no open region the library ends the process with a message. A signal
// handler may lock and unlock if its thread is a member; it must not attach, detach or close; if it
// forks, the child must not return from the handler. Not recursive; not for a child of vfork, which
// would act as its parent. No function of the library is a cancellation point: a pthread_cancel()
// does not act in it, and does not end a wait; a <deadbolt/stop_flag.hpp> does.
//
// Waiters notice an owner's death at once: the kernel wakes one of them, and that one wakes the
// others. There are exceptions. The woken waiter may die, too, before it has woken the others. Or
// the owner was itself a waiter until the last unlock woke it, and the other waiters still watch
// the owner before it. Or the kernel did not mark the death, for example because the OOM killer
// reaped the owner's memory first or a thread other than the main one called execve (docs/region.md
// has all cases). A waiter then notices the death at the end of its current sleep. A sleep
// lasts 100 ms at most at first; each time that one is over without a change, the next may last
// twice as long, but none longer than region::longest_sleep(): by default 1 s, or 100 ms in a
// process that can have no membership lock. While the kernel writes the owner's core dump, the
// owner is alive.
//
// Where the kernel lacks futex_waitv (before 5.16), every sleep lasts 100 ms at most, and a death
// is noticed at its end only.
//
// A thread that has waited for 10 ms gets the mutex before threads that have waited for less. While
// there is such a thread, the others leave an unlocked mutex to it for up to 5 ms; try_lock() takes
// the mutex at once.
//
// A thread that takes the mutex again and again, alone, does so without an atomic operation, until
// another thread wants the mutex, which then calls membarrier: that takes some microseconds. A
// mutex can lose this at most 16 times; then its owners use atomic operations for good. An owner
// that found no thread waiting when it locked unlocks by a plain store; a waiter that is about to
// sleep then calls membarrier, and the next 63 owners unlock by an atomic operation. A waiter to
// which membarrier is refused looks again every 100 ms.
//
// lock(), try_lock(), try_lock_until(), try_lock_for() and unlock() are those of
// <deadbolt/detail/lockable.hpp>; lock_interruptible() and its timed forms are those of
// <deadbolt/stop_flag.hpp>. A jump of CLOCK_REALTIME is noticed within
// region::longest_sleep().
class [[gnu::visibility("default")]] DEADBOLT_CAPABILITY("mutex") mutex
    : public detail::lockable<mutex>,
      public detail::interruptible_lockable<mutex> {
public:
  static constexpr std::uint32_t object_kind =
      1; // detail::object_kind, for region::find_or_construct

  constexpr mutex() noexcept = default;
  ~mutex() = default; // unlock writes nothing after the release: nothing to wait for
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  // Declares the data whole again after owner_died. Does nothing and returns false
  // unless the caller holds the mutex and was told owner_died.
  bool mark_consistent() noexcept;

  // The thread that owns the mutex, for diagnosis.
  [[nodiscard]] lock_owner owner() const noexcept {
    return detail::owner_of(&words_.word);
  }

  // The lock word, for messages and tools; its low half is the futex.
  [[nodiscard]] const std::uint64_t* native_handle() const noexcept {
    return &words_.word;
  }

private:
  friend struct wait_access;
  friend lockable;
  friend interruptible_lockable;
  lock_status acquire() noexcept;
  lock_status try_acquire() noexcept;
  lock_status acquire_until(detail::deadline deadline) noexcept;
  lock_status acquire_within(const detail::wait_limits& limits) noexcept;
  unlock_status release() noexcept;

  detail::mutex_words words_;
};

static_assert(sizeof(mutex) == 16);

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
