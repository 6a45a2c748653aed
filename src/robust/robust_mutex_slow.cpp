// SPDX-License-Identifier: MIT
// Waiting for a robust_mutex, and taking it over from the dead.
#include <robust/robust_mutex_access.hpp>

#include <errno.h>
#include <robust/spin.hpp>
#include <sys/futex.hpp>
#include <sys/message.hpp>

namespace deadbolt {
namespace {

// A waiter looks again this often even if nobody wakes it: a wake that was
// consumed by a waiter that then died is not replayed by every kernel.
constexpr std::int64_t longest_sleep = 100'000'000;

[[noreturn]] void abort_futex(const char* call, const std::uint32_t* word, long error) noexcept {
  sys::message{}
      .text(call)
      .text(" on the lock word at ")
      .pointer(word)
      .text(" (value ")
      .hex(__atomic_load_n(word, __ATOMIC_RELAXED))
      .text(") failed with errno ")
      .number(-error)
      .text(": a waiter cannot wait")
      .abort();
}

bool is_over(const detail::deadline* deadline) noexcept {
  return deadline != nullptr && sys::now(deadline->realtime) >= deadline->nanoseconds;
}

// Sleeps until woken, but never past the deadline or the longest sleep.
void sleep_on(const std::uint32_t* word, std::uint32_t expected,
              const detail::deadline* deadline) noexcept {
  sys::absolute_time until{.realtime = false, .nanoseconds = sys::now() + longest_sleep};
  if (deadline != nullptr) {
    const std::int64_t left = deadline->nanoseconds - sys::now(deadline->realtime);
    if (left < longest_sleep) until = {deadline->realtime, deadline->nanoseconds};
  }
  const long result = sys::futex_wait_until(word, expected, until);
  if (result != 0 && result != -EAGAIN && result != -EINTR && result != -ETIMEDOUT) {
    abort_futex("FUTEX_WAIT_BITSET", word, result);
  }
}

constexpr bool is_free(std::uint32_t seen) noexcept {
  return (seen & FUTEX_TID_MASK) == 0;
}

} // namespace

lock_status robust_mutex_access::settle(identity self, robust_mutex& mutex,
                                        bool owner_died) noexcept {
  robust::link_front(self.head, node(mutex), node(mutex));
  retract(self);
  if (__builtin_expect(owner_died, 0) && mutex.state_ != not_recoverable) {
    mutex.state_ = inconsistent;
    return lock_status::owner_died;
  }
  if (__builtin_expect(mutex.state_ == consistent, 1)) return lock_status::acquired;
  // Not recoverable: pass it on to the next, who is to be told the same.
  release(self, mutex);
  return lock_status::not_recoverable;
}

// On entry the mutex is announced. A waiter that dies here passes a wake on: the
// kernel does so for a pending entry whose word is free.
lock_status robust_mutex_access::lock_slow(identity self, robust_mutex& mutex,
                                           const detail::deadline* deadline) noexcept {
  std::uint32_t* word = &mutex.word_;
  // Whoever slept may have left others asleep, so it owns the word with WAITERS.
  std::uint32_t keep_waiters = 0;
  robust::spinner spinner{mutex.spins_};
  std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    if (is_free(seen)) {
      const std::uint32_t mine = self.tid | (seen & FUTEX_WAITERS) | keep_waiters;
      // order: acquire, pairs with the release of the last owner's unlock, or with
      // the kernel's mark in its name.
      if (__atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED)) {
        return settle(self, mutex, (seen & FUTEX_OWNER_DIED) != 0);
      }
      continue;
    }
    if ((seen & FUTEX_TID_MASK) == self.tid) {
      retract(self);
      return lock_status::deadlock;
    }
    if (keep_waiters == 0 && spinner.again()) {
      seen = __atomic_load_n(word, __ATOMIC_RELAXED);
      continue;
    }
    // Before the clock is asked: a waiter that gives up may have been given a wake,
    // and WAITERS is how the next unlock knows that others sleep.
    if ((seen & FUTEX_WAITERS) == 0) {
      if (!__atomic_compare_exchange_n(word, &seen, seen | FUTEX_WAITERS, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED)) {
        continue;
      }
      seen |= FUTEX_WAITERS;
    }
    if (is_over(deadline)) {
      retract(self);
      return lock_status::timed_out;
    }
    sleep_on(word, seen, deadline);
    keep_waiters = FUTEX_WAITERS;
    seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  }
}

// Never spins, never sleeps, and takes a free word whatever its flags say.
lock_status robust_mutex::lock_status_of_try_lock() noexcept {
  using access = robust_mutex_access;
  const robust::thread_identity self = robust::this_thread();
  access::announce(self, *this);
  std::uint32_t seen = __atomic_load_n(&word_, __ATOMIC_RELAXED);
  while (is_free(seen)) {
    const std::uint32_t mine = self.tid | (seen & FUTEX_WAITERS);
    // order: acquire, as in lock_slow().
    if (__atomic_compare_exchange_n(&word_, &seen, mine, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      return access::settle(self, *this, (seen & FUTEX_OWNER_DIED) != 0);
    }
  }
  access::retract(self);
  return lock_status::busy;
}

} // namespace deadbolt
