// SPDX-License-Identifier: MIT
// Waiting for a robust_mutex, and taking it over from the dead.
#include <robust/robust_mutex_operations.hpp>

#include <base/futex.hpp>
#include <base/spin.hpp>
#include <errno.h>

namespace deadbolt::robust {
namespace {

// A waiter looks again this often even if nobody wakes it: a wake that was
// consumed by a waiter that then died is not replayed by every kernel.
constexpr std::int64_t longest_sleep = 100'000'000;

// Sleeps until woken, but never past the deadline or the longest sleep. By the monotonic
// clock also when the deadline is not: a clock that is set back must not stretch a sleep.
void sleep_on(const std::uint32_t* word, std::uint32_t expected,
              const deadline* deadline) noexcept {
  std::int64_t longest = longest_sleep;
  if (deadline != nullptr) {
    const std::int64_t left = deadline->nanoseconds - base::now(deadline->realtime);
    if (left < longest) longest = left < 0 ? 0 : left;
  }
  const long result = base::futex_wait_until(
      word, expected, {.realtime = false, .nanoseconds = base::now() + longest});
  if (result != 0 && result != -EAGAIN && result != -EINTR && result != -ETIMEDOUT) {
    abort_futex("FUTEX_WAIT_BITSET", word, result);
  }
}

} // namespace

lock_status settle_unrepaired(thread_identity self, robust_node& node, bool owner_died) noexcept {
  const lock_status status = status_for_new_owner(node, owner_died);
  // Not recoverable: pass it on to the next, who is to be told the same.
  if (status == lock_status::not_recoverable) release(self, node);
  return status;
}

// A waiter that dies here passes a wake on: the kernel does so for a pending entry
// whose word is free.
lock_status lock_slow(thread_identity self, robust_node& node, const deadline* deadline) noexcept {
  std::uint32_t* word = &node.word;
  // Whoever slept may have left others asleep, so it owns the word with WAITERS.
  std::uint32_t keep_waiters = 0;
  base::spinner spinner{node.spins};
  std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    if (is_free(seen)) {
      const std::uint32_t mine = self.tid | (seen & FUTEX_WAITERS) | keep_waiters;
      // order: acquire, pairs with the release of the last owner's unlock, or with
      // the kernel's mark in its name.
      if (__atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED)) {
        spinner.remember();
        return settle(self, node, (seen & FUTEX_OWNER_DIED) != 0);
      }
      continue;
    }
    if (is_owned_by(seen, self)) {
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

} // namespace deadbolt::robust
