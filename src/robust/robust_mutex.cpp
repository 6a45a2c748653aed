// SPDX-License-Identifier: MIT
#include <deadbolt/robust_mutex.hpp>

#include <base/futex.hpp>
#include <base/spin.hpp>
#include <errno.h>
#include <robust/engine.hpp>
#include <robust/quiescence.hpp>
#include <robust/robust_lock.hpp>

namespace deadbolt {

using namespace robust;

namespace {

struct plain_kind {
  static robust_list* pending_entry(robust_node& node) noexcept { return links(node); }
  static robust_list* list_entry(robust_node& node) noexcept { return links(node); }
  static void release_word(thread_identity self, robust_node& node) noexcept {
    chosen_engine.unlock(&node.word, self.head, self.tid);
  }
  static lock_status wait(thread_identity self, robust_node& node,
                          const deadline* deadline) noexcept;
};
using operations = lock_operations<plain_kind>;

// A sleeping waiter re-checks the word this often even if no thread wakes it: some kernels do
// not wake another waiter when a woken waiter dies before it has acted.
constexpr std::int64_t longest_sleep = 100'000'000;

// Sleeps until woken, but never past the deadline or the longest sleep. Sleeps by the monotonic
// clock even if the deadline is on the realtime clock: when that clock is set back the sleep must
// not become longer.
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

// A waiter that is woken and dies in here does not lose the wake: for a pending entry whose word is
// free the kernel wakes another waiter. (If another thread has taken the word meanwhile, some
// kernels do not: see longest_sleep.)
[[gnu::noinline]] lock_status plain_kind::wait(thread_identity self, robust_node& node,
                                               const deadline* deadline) noexcept {
  std::uint32_t* word = &node.word;
  // A waiter that slept cannot know whether others still sleep, so it takes the word with
  // WAITERS set.
  std::uint32_t keep_waiters = 0;
  base::spinner spinner{node.spins};
  std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    if (is_free(seen)) {
      const std::uint32_t mine = self.tid | (seen & FUTEX_WAITERS) | keep_waiters;
      // order: acquire, pairs with the release of the last owner's unlock, or with the kernel's
      // store of FUTEX_OWNER_DIED after the last owner's death.
      if (__atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED)) {
        spinner.remember();
        return operations::settle(self, node, (seen & FUTEX_OWNER_DIED) != 0);
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
    // A waiter sets WAITERS even if it is about to give up: it may have consumed a wake, and the
    // next unlock, which sees WAITERS, then wakes another waiter.
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

} // namespace

lock_status robust_mutex::acquire() noexcept {
  return operations::lock(node_);
}

lock_status robust_mutex::acquire_until(detail::deadline deadline) noexcept {
  return operations::lock_until(node_, deadline);
}

// Never spins, never sleeps, and takes a free word whatever its flags say.
lock_status robust_mutex::try_acquire() noexcept {
  const thread_identity self = first_use(node_);
  announce(self, links(node_));
  std::uint32_t seen = __atomic_load_n(&node_.word, __ATOMIC_RELAXED);
  while (is_free(seen)) {
    const std::uint32_t mine = self.tid | (seen & FUTEX_WAITERS);
    // order: acquire, pairs with the release of the last owner's unlock.
    if (__atomic_compare_exchange_n(&node_.word, &seen, mine, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      return operations::settle(self, node_, (seen & FUTEX_OWNER_DIED) != 0);
    }
  }
  retract(self);
  return lock_status::busy;
}

unlock_status robust_mutex::release() noexcept {
  return operations::unlock(node_);
}

robust_mutex::~robust_mutex() {
  await_destruction("robust_mutex destroyed", this, sizeof *this);
}

} // namespace deadbolt
