// SPDX-License-Identifier: MIT
// Lock and unlock of a robust mutex where it is not free at once: glibc's protocol, with the
// differences that docs/preload.md lists under "What differs from glibc". The most important:
// - No sleep is longer than 100 ms. A kernel that does not replay the wake of a waiter that
//   died would let the others sleep on (docs/protocol.md, "The second race").
// - A free word that has WAITERS is taken, with the bit kept. glibc sleeps on it.
// - A mutex that turns out not to be recoverable is released by the engine. glibc releases
//   it in pthread_mutex_lock with the window that its unlock has; its trylock keeps it.
#include "preload/operations.hpp"

#include <base/clock.hpp>
#include <base/futex.hpp>
#include <base/message.hpp>
#include <errno.h>
#include <limits.h>

namespace deadbolt::preload {
namespace {

constexpr std::int64_t longest_sleep = 100'000'000;
constexpr std::int64_t for_ever = INT64_MAX;

struct attempt {
  pthread_mutex_t* mutex;
  int kind;
  robust_list_head* head;
  std::uint32_t tid;
  caller who;

  attempt(pthread_mutex_t* of, caller by) noexcept
      : mutex{of}, kind{kind_of(of)}, head{own_head()}, tid{own_tid(head)}, who{by} {
    set_pending(head, entry_of(mutex, kind));
  }

  [[nodiscard]] std::uint32_t* word() const noexcept { return word_of(mutex); }
  // A waiter in pthread_cond_wait may be one of many that were moved to this mutex.
  [[nodiscard]] std::uint32_t waiters_bit() const noexcept {
    return who == caller::condition_variable ? FUTEX_WAITERS : 0;
  }

  [[nodiscard]] int fail(int error) const noexcept {
    clear_pending(head);
    return error;
  }

  // The word is the caller's.
  [[nodiscard]] int acquired() const noexcept {
    return finish_lock(mutex, head, entry_of(mutex, kind), tid, who);
  }

  // The same after a dead owner, who is still counted as a user.
  [[nodiscard]] int inherited() const noexcept {
    auto& data = mutex->__data;
    data.__count = 1;
    data.__owner = owner_inconsistent;
    enqueue(head, entry_of(mutex, kind));
    clear_pending(head);
    if (who == caller::condition_variable) --data.__nusers;
    return EOWNERDEAD;
  }

  // The calling thread holds the mutex already; -1: that is no reason to return.
  [[nodiscard]] int relocked() const noexcept {
    if ((kind & kind_mask) == kind_error_check) return fail(EDEADLK);
    if ((kind & kind_mask) != kind_recursive) return -1;
    if (mutex->__data.__count + 1 == 0) return fail(EAGAIN);
    ++mutex->__data.__count;
    return fail(0);
  }
};

// 0, or why no waiting is possible.
int convert(const wait_limit& limit, base::absolute_time& until) noexcept {
  until = {.realtime = limit.realtime, .nanoseconds = for_ever};
  if (limit.until == nullptr) return 0;
  const timespec& time = *limit.until;
  if (time.tv_nsec < 0 || time.tv_nsec >= base::nanoseconds_per_second) return EINVAL;
  if (time.tv_sec < 0) return ETIMEDOUT;
  if (time.tv_sec < for_ever / base::nanoseconds_per_second)
    until.nanoseconds = time.tv_sec * base::nanoseconds_per_second + time.tv_nsec;
  return 0;
}

// Sleeps while the word is `seen`, for 100 ms at most. Sleeps by the clock of the time-out: a
// change of that clock that ends the time-out also ends the sleep.
int sleep_once(const std::uint32_t* word, std::uint32_t seen,
               const base::absolute_time& until) noexcept {
  const std::int64_t now = base::now(until.realtime);
  const bool is_last = until.nanoseconds - now <= longest_sleep;
  const base::absolute_time end{.realtime = until.realtime,
                                .nanoseconds = is_last ? until.nanoseconds : now + longest_sleep};
  const long result = base::futex_wait_until(word, seen, end);
  return result == -ETIMEDOUT && is_last ? ETIMEDOUT : 0;
}

int lock_plain(const attempt& at, const wait_limit& limit) noexcept {
  std::uint32_t* const word = at.word();
  // What is to stay in the word: others may sleep where this thread has slept.
  std::uint32_t keep = at.waiters_bit();
  // The first try takes the word for free. If it is not, the compare-exchange reads it.
  std::uint32_t seen = 0;
  for (;;) {
    if ((seen & FUTEX_TID_MASK) == 0 || (seen & FUTEX_OWNER_DIED) != 0) {
      const bool died = (seen & FUTEX_OWNER_DIED) != 0;
      // order: acquire pairs with the release of the last owner.
      if (!__atomic_compare_exchange_n(word, &seen, at.tid | (seen & FUTEX_WAITERS) | keep, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        continue;
      return died ? at.inherited() : at.acquired();
    }
    if ((seen & FUTEX_TID_MASK) == at.tid) {
      if (const int result = at.relocked(); result >= 0) return result;
    }
    base::absolute_time until;
    if (const int error = convert(limit, until); error != 0) return at.fail(error);
    if ((seen & FUTEX_WAITERS) == 0) {
      if (!__atomic_compare_exchange_n(word, &seen, seen | FUTEX_WAITERS, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED))
        continue;
      seen |= FUTEX_WAITERS;
    }
    keep = FUTEX_WAITERS;
    if (const int error = sleep_once(word, seen, until); error != 0) return at.fail(error);
    seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  }
}

// As glibc: sleeps until the time-out, or for ever, for a mutex that this thread can never acquire:
// a normal mutex that it holds already, or one whose owner the kernel cannot find.
int wait_in_vain(const attempt& at, const base::absolute_time& until) noexcept {
  const std::uint32_t nobody_wakes = 0;
  while (sleep_once(&nobody_wakes, 0, until) == 0) {
  }
  return at.fail(ETIMEDOUT);
}

// For a thread to which the kernel gave the PI word.
int take_inheriting(const attempt& at) noexcept {
  std::uint32_t* const word = at.word();
  if ((__atomic_load_n(word, __ATOMIC_RELAXED) & FUTEX_OWNER_DIED) == 0) return at.acquired();
  __atomic_fetch_and(word, ~FUTEX_OWNER_DIED, __ATOMIC_ACQUIRE);
  return at.inherited();
}

int lock_inheriting(const attempt& at, const wait_limit& limit) noexcept {
  std::uint32_t* const word = at.word();
  std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  if ((seen & FUTEX_TID_MASK) == at.tid) {
    if (const int result = at.relocked(); result >= 0) return result;
  }
  seen = 0;
  if (__atomic_compare_exchange_n(word, &seen, at.tid | at.waiters_bit(), false, __ATOMIC_ACQUIRE,
                                  __ATOMIC_RELAXED))
    return at.acquired();
  base::absolute_time until;
  if (const int error = convert(limit, until); error != 0) {
    // The kernel, which glibc asks, calls a time before the clock's start invalid.
    return at.fail(EINVAL);
  }
  for (;;) {
    const long result = base::futex_lock_pi(word, limit.until != nullptr ? &until : nullptr);
    switch (result) {
    case 0:
      return take_inheriting(at);
    case -ETIMEDOUT:
      return at.fail(ETIMEDOUT);
    case -EAGAIN: // the owner is exiting
    case -EINTR:
      continue;
    case -EDEADLK: // a normal mutex that this thread holds
    case -ESRCH:
      return wait_in_vain(at, until);
    default:
      base::message{}
          .text("FUTEX_LOCK_PI of the mutex at ")
          .pointer(at.mutex)
          .text(" failed with ")
          .number(result)
          .abort();
    }
  }
}

int try_lock_plain(const attempt& at) noexcept {
  std::uint32_t* const word = at.word();
  std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    const bool died = (seen & FUTEX_OWNER_DIED) != 0;
    if (!died && (seen & FUTEX_TID_MASK) == at.tid) {
      if (const int result = at.relocked(); result >= 0) return result;
    }
    if (!died && (seen & FUTEX_TID_MASK) != 0) return at.fail(EBUSY);
    if (__atomic_compare_exchange_n(word, &seen, at.tid | (seen & FUTEX_WAITERS), false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return died ? at.inherited() : at.acquired();
  }
}

int try_lock_inheriting(const attempt& at) noexcept {
  std::uint32_t* const word = at.word();
  std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  if ((seen & FUTEX_TID_MASK) == at.tid) {
    if (const int result = at.relocked(); result >= 0) return result;
  }
  seen = 0;
  if (__atomic_compare_exchange_n(word, &seen, at.tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return at.acquired();
  if ((seen & FUTEX_OWNER_DIED) == 0 || base::futex_trylock_pi(word) != 0) return at.fail(EBUSY);
  return take_inheriting(at);
}

} // namespace

int refuse(pthread_mutex_t* mutex) noexcept {
  const int kind = kind_of(mutex);
  mutex->__data.__count = 0;
  release(word_of(mutex), kind);
  // glibc's lock wakes no other waiter when it returns ENOTRECOVERABLE, so all are woken here.
  if ((kind & inherit_bit) == 0) base::futex_wake(word_of(mutex), INT_MAX);
  return ENOTRECOVERABLE;
}

int lock_slow(pthread_mutex_t* mutex, caller who, const wait_limit& limit) noexcept {
  const attempt at{mutex, who};
  return (at.kind & inherit_bit) == 0 ? lock_plain(at, limit) : lock_inheriting(at, limit);
}

int try_lock_slow(pthread_mutex_t* mutex) noexcept {
  const attempt at{mutex, caller::program};
  return (at.kind & inherit_bit) == 0 ? try_lock_plain(at) : try_lock_inheriting(at);
}

// ---- unlock ----

void release_inheriting_slow(std::uint32_t* word, robust_list_head* head, std::uint32_t tid,
                             std::uint32_t seen) noexcept {
  while ((seen & FUTEX_WAITERS) == 0 && (seen & FUTEX_TID_MASK) == tid)
    if (robust::chosen_engine.pi_try_unlock(word, &seen, head) != 0) return;
  // The word is not the caller's any more, or the kernel refused the engine: FUTEX_UNLOCK_PI
  // decides. Its result is ignored: the mutex is off the list already, and nothing could be undone.
  long result;
  do result = base::futex_unlock_pi(word);
  while (result == -EAGAIN);
  clear_pending(head);
}

void release(std::uint32_t* word, int kind) noexcept {
  robust_list_head* const head = own_head();
  if ((kind & inherit_bit) != 0) {
    std::uint32_t seen = own_tid(head);
    if (robust::chosen_engine.pi_try_unlock(word, &seen, head) == 0)
      release_inheriting_slow(word, head, own_tid(head), seen);
    return;
  }
  // order: relaxed, only waiters change the word of a held lock, and only the WAITERS bit.
  const std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  robust::chosen_engine.unlock(word, head, seen & ~FUTEX_WAITERS);
}

int unlock_slow(pthread_mutex_t* mutex, caller who) noexcept {
  auto& data = mutex->__data;
  const int kind = kind_of(mutex);
  robust_list_head* const head = own_head();
  const std::uint32_t tid = own_tid(head);
  const std::uint32_t word = __atomic_load_n(word_of(mutex), __ATOMIC_RELAXED);
  const bool owns_word = (word & FUTEX_TID_MASK) == tid;
  // An owner that did not make the mutex consistent leaves it not recoverable.
  const bool gives_up = owns_word && data.__owner == owner_inconsistent;
  if ((kind & kind_mask) == kind_recursive) {
    if (!gives_up && data.__owner != static_cast<int>(tid)) return EPERM;
    if (--data.__count != 0) return gives_up ? ENOTRECOVERABLE : 0;
  } else if (!owns_word) {
    return EPERM;
  }

  set_pending(head, entry_of(mutex, kind));
  dequeue(mutex);
  data.__owner = gives_up ? owner_not_recoverable : 0;
  if (who == caller::program) --data.__nusers;
  // death order: as in unlock().
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  release(word_of(mutex), kind);
  return 0;
}

} // namespace deadbolt::preload
