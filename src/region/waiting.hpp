// SPDX-License-Identifier: MIT
// Waiting for a lock word: bounded sleeps on several words at once, and the contended lock of
// every word that names one owner (a mutex's, and a shared_mutex's writer word).
#ifndef DEADBOLT_REGION_WAITING_HPP
#define DEADBOLT_REGION_WAITING_HPP

#include <base/futex.hpp>
#include <cstdint>
#include <deadbolt/detail/timed_lock.hpp>
#include <deadbolt/lock_result.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/stop_flag.hpp>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// Every waiter looks again even if nobody wakes it: the thread that was to pass a wake on may have
// died, and a death may not have been marked by the kernel. In nanoseconds: the first sleep, and
// every one where the kernel cannot watch all that the waiter depends on; and the longest, unless
// region::set_longest_sleep() says otherwise, where processes have membership locks.
inline constexpr std::int64_t first_sleep = 100'000'000;
inline constexpr std::int64_t usual_longest_sleep = 1'000'000'000;

// How long a waiter for a lock may sleep. As long as nothing changes, each sleep is twice as long
// as the one before, so that an idle waiter costs little; a waiter that saw its lock's owner change
// may sleep on the wrong liveness word, and soon looks again.
class sleep_length {
public:
  explicit sleep_length(const open_region& region) noexcept
      : longest_{region.longest_sleep.load(std::memory_order_relaxed)} {
    reset();
  }
  // For a sleep that watches everything that the waiter depends on, owned as `owner` says: an
  // owner's id, or any number that differs where owners do.
  [[nodiscard]] std::int64_t next(std::uint64_t owner) noexcept {
    if (owner != owner_) reset();
    owner_ = owner;
    return length_;
  }
  // For a sleep that may miss a wake.
  [[nodiscard]] std::int64_t next_unsure() noexcept {
    reset();
    return length_;
  }
  void ended(bool timed_out) noexcept {
    if (!timed_out) return reset();
    length_ = length_ > longest_ / 2 ? longest_ : 2 * length_;
  }

private:
  void reset() noexcept { length_ = longest_ < first_sleep ? longest_ : first_sleep; }

  std::int64_t longest_;
  std::int64_t length_;
  std::uint64_t owner_ = 0;
};

// A waiter that has waited for so long, and slept, is a long waiter: it asks for a release that
// reserves the lock. The other threads then sleep for `stand_back` before they take the lock; a
// long waiter that was woken needs some 50 us to be there. In nanoseconds.
inline constexpr std::int64_t long_wait = 10'000'000;
inline constexpr std::int64_t stand_back = 5'000'000;

// After a waiter's membarrier, so many owners of the mutex are not plain. That costs the owners
// less than one more membarrier, and spares the waiters that follow theirs.
inline constexpr std::uint8_t atomic_after_barrier = 63;

using base::watched_word;

// The half of a lock word that every waiter sleeps on: the low one (little-endian).
inline const std::uint32_t* futex_of(const std::uint64_t* word) noexcept {
  return reinterpret_cast<const std::uint32_t*>(word);
}
// The half that long waiters sleep on, too.
inline const std::uint32_t* futex_of_long_waiters(const std::uint64_t* word) noexcept {
  return futex_of(word) + 1;
}

// When a sleep that starts now ends: after `longest`, or at the deadline (nullptr: none) if that
// is earlier. CLOCK_MONOTONIC.
std::int64_t sleep_end(std::int64_t longest, const detail::deadline* deadline) noexcept;

bool is_over(const detail::deadline* deadline) noexcept;

using detail::wait_limits;

enum class sleep_result : std::uint8_t {
  woken,       // or a word differs, or the sleep ended for no reason
  timed_out,   // it lasted until its end
  interrupted, // by a signal handler
};

// When a waiter asks for the evidence of a death that the kernel did not mark: after a sleep for
// the whole of which no thread woke it, and, because signals or short time-outs may end each sleep,
// when it has slept for `first_sleep` without having asked, and before it leaves.
class evidence_clock {
public:
  [[nodiscard]] bool is_due(sleep_result last, bool leaves) noexcept {
    const std::int64_t now = base::now();
    if (last != sleep_result::timed_out && !leaves && now - asked_ < first_sleep) return false;
    asked_ = now;
    return true;
  }

private:
  std::int64_t asked_ = base::now();
};

// Whether a wait whose last sleep ended so has been told to end.
inline bool is_told_to_end(const wait_limits& limits, sleep_result last) noexcept {
  return (limits.interruptible && last == sleep_result::interrupted) ||
         (limits.stop != nullptr && limits.stop->is_set());
}

// Sleeps while all words have their values, until woken on one of them or until `until`
// (CLOCK_MONOTONIC). Where the kernel lacks or refuses futex_waitv, on the first word alone, for
// first_sleep at most.
// `count` is at most base::most_watched_words. `lock` is for the message if memory that holds a
// word is not mapped.
sleep_result sleep_on(const watched_word* words, unsigned count, std::int64_t until,
                      const void* lock) noexcept;

// Instead of a sleep on a futex, where the kernel refuses that.
void sleep_a_moment() noexcept;

// Acquires a mutex, by waiting within the limits. Makes the calling thread a member first if it is
// none.
lock_status lock_contended(detail::mutex_words& mutex, const wait_limits& limits) noexcept;
lock_status try_lock_contended(detail::mutex_words& mutex) noexcept;
// The same for a shared_mutex's writer word, which is never plain and never biased. `long_after`:
// the caller is a long waiter when it has waited for so long here, and slept; if 0, at once.
lock_status lock_contended(std::uint64_t& word, const wait_limits& limits,
                           std::int64_t long_after) noexcept;
lock_status try_lock_contended(std::uint64_t& word) noexcept;

// A release has written `next` to the word and owes a wake: makes it. Only the address of the word
// is used: its memory may be other data already.
void wake_after_release(const std::uint64_t* word, std::uint64_t next) noexcept;

// Releases a word that the caller owns, and that is not plain. Nothing of the lock is touched after
// this. `seen`: the word, as it was a moment ago. `waiting`: the mutex's, which the caller has set
// to 0; a shared_mutex has none.
inline void release_word(std::uint64_t* word, std::uint64_t seen,
                         std::uint32_t waiting = 0) noexcept {
  std::uint64_t next = 0;
  // A compare-exchange, so that a long waiter's request is never overwritten unseen. It fails twice
  // at most: while the word is held, waiters do nothing to it but set two bits.
  // order: release, pairs with the next owner's acquire, and with a reader that finds the word
  // free.
  // death order: after this one write nothing that the kernel reads for a dying thread names
  // the lock. The memory may be reused from here on; a wake reads and writes nothing there.
  do {
    if ((seen & word_inconsistent) != 0) {
      next = word_not_recoverable;
    } else {
      next = (seen & word_reserve) != 0 || waiting == some_wait_long ? word_waiters : 0;
    }
  } while (
      !__atomic_compare_exchange_n(word, &seen, next, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
  if ((seen & word_waiters) != 0 || waiting != 0) wake_after_release(word, next);
}

} // namespace deadbolt::regions
#endif
