// SPDX-License-Identifier: MIT
// The protocol of wait_for_word() is models/region_mutex.pml, which names the same steps.
#include <region/waiting.hpp>

#include <base/clock.hpp>
#include <base/futex.hpp>
#include <base/membarrier.hpp>
#include <base/message.hpp>
#include <base/spin.hpp>
#include <errno.h>
#include <limits.h>
#include <region/bias.hpp>
#include <region/membership.hpp>
#include <region/slots.hpp>

namespace deadbolt::regions {

using detail::mutex_words;

namespace {

// Set when the kernel refuses futex_waitv: sleeps are on the first word alone from then on.
constinit bool no_waitv = false;

} // namespace

} // namespace deadbolt::regions

namespace deadbolt {

void stop_flag::set() noexcept {
  // order: release, pairs with the acquire in is_set().
  __atomic_store_n(&word_, 1, __ATOMIC_RELEASE);
  base::futex_wake(&word_, INT_MAX);
}

} // namespace deadbolt

namespace deadbolt::regions {

std::int64_t sleep_end(std::int64_t longest, const detail::deadline* deadline) noexcept {
  const std::int64_t now = base::now();
  if (deadline != nullptr) {
    const std::int64_t left = deadline->nanoseconds - (deadline->realtime ? base::now(true) : now);
    if (left < longest) longest = left < 0 ? 0 : left;
  }
  return now + longest;
}

bool is_over(const detail::deadline* deadline) noexcept {
  return deadline != nullptr && base::now(deadline->realtime) >= deadline->nanoseconds;
}

void sleep_a_moment() noexcept {
  const timespec time = base::to_timespec(1'000'000);
  arch::raw_syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, nullptr);
}

sleep_result sleep_on(const watched_word* words, unsigned count, std::int64_t until,
                      const void* lock) noexcept {
  const auto slept = [](long result) {
    return result >= 0 || result == -EAGAIN || result == -EINTR || result == -ETIMEDOUT;
  };
  long result = -ENOSYS;
  if (!__atomic_load_n(&no_waitv, __ATOMIC_RELAXED)) {
    result = base::futex_wait_any(words, count, until);
  }
  if (!slept(result) && result != -EFAULT) {
    // An old kernel, or a sandbox, with whatever error it chose.
    __atomic_store_n(&no_waitv, true, __ATOMIC_RELAXED);
    const std::int64_t soon = base::now() + first_sleep;
    result = base::futex_wait_until(
        reinterpret_cast<const std::uint32_t*>(static_cast<std::uintptr_t>(words[0].address)),
        static_cast<std::uint32_t>(words[0].value), {false, until < soon ? until : soon});
  }
  if (result == -EFAULT) {
    base::message{}
        .text("waiting for the lock at ")
        .pointer(lock)
        .text(": its memory is not mapped any more")
        .abort();
  }
  if (!slept(result)) {
    sleep_a_moment();
    return base::now() >= until ? sleep_result::timed_out : sleep_result::woken;
  }
  if (result == -EINTR) return sleep_result::interrupted;
  return result == -ETIMEDOUT ? sleep_result::timed_out : sleep_result::woken;
}

namespace {

// `slept`: the caller has slept for this word, so other threads may still be asleep on it; the
// word keeps its waiters bit.
// NOLINTNEXTLINE(readability-non-const-parameter): the builtin writes
bool take_free(std::uint64_t* word, std::uint64_t& seen, const attachment& self,
               bool slept) noexcept {
  const std::uint64_t mine = self.id | (seen & word_waiters) | (slept ? word_waiters : 0);
  // order: as in take_by_exchange() of mutex.cpp; a shared_mutex looks at its readers' holds after
  // it.
  const bool reserved = is_reserved(seen);
  if (!__atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)) {
    return false;
  }
  // The word has lost the request of the other long waiters: the next one asks again.
  if (reserved) base::futex_wake(futex_of_long_waiters(word), 1);
  return true;
}

// NOLINTNEXTLINE(readability-non-const-parameter): the builtin writes
bool take_over(std::uint64_t* word, std::uint64_t& seen, const attachment& self,
               bool slept) noexcept {
  const std::uint64_t mine =
      self.id | word_inconsistent | (seen & word_waiters) | (slept ? word_waiters : 0);
  // order: acquire, pairs with the kernel's mark or the detacher's token, which the dead
  // owner's last writes came before; else as in take_free().
  return __atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

// Sleeps while the lock word, its owner's liveness word, and `third` and `stop` where they are,
// stay as they are.
sleep_result sleep_for(const std::uint64_t* word, std::uint64_t seen, bool is_long,
                       const watched_word* third, const owner_view& owner, const stop_flag* stop,
                       std::int64_t until) noexcept {
  watched_word words[5];
  unsigned count = 0;
  // The first one is for kernels that can watch no more.
  words[count++] = {futex_of(word), static_cast<std::uint32_t>(seen)};
  words[count++] = {futex_of(owner.life), owner.liveness_value};
  if (is_long) {
    words[count++] = {futex_of_long_waiters(word), static_cast<std::uint32_t>(seen >> 32)};
  }
  if (third != nullptr) words[count++] = *third;
  if (stop != nullptr) words[count++] = {stop->native_handle(), 0};
  const sleep_result result = sleep_on(words, count, until, word);
  pass_on(owner);
  return result;
}

// Sleeps while the lock is reserved, for stand_back at most.
sleep_result leave_to_long_waiters(const std::uint64_t* word, std::uint64_t reserved,
                                   const wait_limits& limits) noexcept {
  watched_word words[2] = {{futex_of(word), static_cast<std::uint32_t>(reserved)}, {}};
  unsigned count = 1;
  if (limits.stop != nullptr) words[count++] = {limits.stop->native_handle(), 0};
  return sleep_on(words, count, sleep_end(stand_back, limits.until), word);
}

// Takes a word over from a dead owner, and says whether the lock was held.
bool take_from_dead(std::uint64_t* word, std::uint64_t& seen, const attachment& self, bool slept,
                    lock_status& status) noexcept {
  if (is_biased(seen) && !holds_by_bias(*self.region, word, seen)) {
    status = lock_status::acquired;
    return take_free(word, seen, self, slept);
  }
  status = lock_status::owner_died;
  return take_over(word, seen, self, slept);
}

// The word is the calling thread's own: takes it if it is a bias under which the thread does not
// hold the mutex.
bool take_own_bias(std::uint64_t* word, std::uint64_t& seen, const attachment& self) noexcept {
  while (is_biased(seen) && id_of(seen) == self.id && !holds_by_bias(*self.region, word, seen)) {
    if (take_free(word, seen, self, false)) return true;
  }
  return false;
}

} // namespace

void wake_after_release(const std::uint64_t* word, std::uint64_t next) noexcept {
  if (next == word_not_recoverable) {
    base::futex_wake(futex_of(word), INT_MAX);
  } else if (!is_reserved(next)) {
    base::futex_wake(futex_of(word), 1);
  } else if (base::futex_wake(futex_of_long_waiters(word), 1) == 0) {
    // The long waiter is awake, has left, or has died; or the kernel lets nobody sleep on several
    // words. All others learn that the lock is reserved.
    base::futex_wake(futex_of(word), INT_MAX);
  }
}

namespace {

// `mutex`: nullptr if the word is a shared_mutex's.
lock_status wait_for_word(std::uint64_t* word, mutex_words* mutex, std::uint16_t& spins,
                          const wait_limits& limits, std::int64_t long_after) noexcept {
  const attachment* member = find_or_attach(word);
  if (member == nullptr) return lock_status::cannot_attach;
  const attachment& self = *member;
  if (mutex != nullptr && take_biased(*word, self)) return lock_status::acquired;
  bool slept = false;
  bool stood_back = false;
  std::int64_t long_from = INT64_MAX; // when this thread becomes a long waiter
  sleep_result last = sleep_result::woken;
  sleep_length length{*self.region};
  evidence_clock evidence;
  base::spinner spinner{spins};
  std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  for (;;) {
    if (is_free(seen)) {
      // A thread that would leave takes the lock instead: it may have been given a wake.
      if (is_reserved(seen) && !stood_back && base::now() < long_from &&
          !is_told_to_end(limits, last) && !is_over(limits.until)) {
        if (!slept) long_from = base::now() + long_after;
        last = leave_to_long_waiters(word, seen, limits);
        stood_back = last == sleep_result::timed_out;
        slept = true;
        seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        continue;
      }
      if (take_free(word, seen, self, slept)) {
        spinner.remember();
        return lock_status::acquired;
      }
      continue;
    }
    stood_back = false;
    if (is_not_recoverable(seen)) return lock_status::not_recoverable;
    if (id_of(seen) == self.id) {
      if (take_own_bias(word, seen, self)) return lock_status::acquired;
      if (id_of(seen) == self.id) return lock_status::deadlock;
      continue;
    }
    const bool biased = mutex != nullptr && is_biased(seen);
    if ((!biased || holds_by_bias(*self.region, word, seen)) && spinner.again()) {
      seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      continue;
    }
    owner_view owner = look_at_owner(*self.region, seen);
    const bool told = is_told_to_end(limits, last);
    const bool over = is_over(limits.until);
    if (!owner.dead && evidence.is_due(last, told || over)) {
      owner.dead = is_gone_unmarked(*self.region, owner, seen);
    }
    if (owner.dead) {
      lock_status status{};
      if (take_from_dead(word, seen, self, slept, status)) return status;
      continue;
    }
    if (!slept && (!biased || holds_by_bias(*self.region, word, seen)) &&
        is_this_thread(*self.region, owner, seen)) {
      return lock_status::deadlock;
    }
    const std::int64_t now = base::now();
    if (!slept) long_from = now + long_after;
    const bool is_long = now >= long_from;
    // The word must say that somebody waits before this waiter decides to leave: a waiter
    // that gives up may have been given a wake, and the next unlock learns from the word that
    // other threads sleep.
    const bool plain = mutex != nullptr && (seen & word_plain) != 0 && !biased;
    bool unsure = false;
    watched_word third{mutex == nullptr ? nullptr : &mutex->waiting,
                       is_long ? some_wait_long : some_wait};
    if (biased) {
      const bias_state state =
          revoke_bias(*self.region, word, seen, mutex->revocations, *owner.slot, true);
      if (state == bias_state::word_changed) continue;
      if (state == bias_state::free) {
        if (take_free(word, seen, self, slept)) return lock_status::acquired;
        continue;
      }
      bias_announcement& announcement = announcement_of(*self.region, *owner.slot, word);
      third = {reinterpret_cast<const std::uint32_t*>(&announcement.lock), name_of(*word, self)};
    } else if (plain) {
      // A thread that has not slept has been given no wake, and can leave without the barrier.
      if (!slept && told) return lock_status::interrupted;
      if (!slept && over) return lock_status::timed_out;
      std::uint32_t before = 0;
      if (is_long) {
        __atomic_store_n(&mutex->waiting, some_wait_long, __ATOMIC_SEQ_CST);
      } else if (!__atomic_compare_exchange_n(&mutex->waiting, &before, some_wait, false,
                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        third.value = before;
      }
      __atomic_store_n(&mutex->plain_after, atomic_after_barrier, __ATOMIC_RELAXED);
      // order: the owner releases, then loads `waiting`. Where it has loaded already, its
      // release is visible when this call returns; else it sees what was just stored. If
      // membarrier is refused to this process but the owner registered, a short sleep is the
      // fallback.
      unsure = base::barrier_everywhere() != 0;
      const std::uint64_t after = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      if (after != seen) {
        seen = after;
        continue;
      }
    } else {
      const std::uint64_t asked = seen | word_waiters | (is_long ? word_reserve : 0);
      if (asked != seen) {
        if (!__atomic_compare_exchange_n(word, &seen, asked, false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_ACQUIRE)) {
          continue;
        }
        seen = asked;
      }
    }
    if (told) return lock_status::interrupted;
    if (over) return lock_status::timed_out;
    std::int64_t longest = unsure ? length.next_unsure() : length.next(id_of(seen));
    // Wakes in time to ask as a long waiter. Such a sleep is too short to say that nobody wakes it.
    const bool is_cut = !is_long && longest > long_from - now;
    if (is_cut) longest = long_from - now;
    last = sleep_for(word, seen, is_long, plain || biased ? &third : nullptr, owner, limits.stop,
                     sleep_end(longest, limits.until));
    if (is_cut && last == sleep_result::timed_out) last = sleep_result::woken;
    length.ended(last == sleep_result::timed_out);
    slept = true;
    seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  }
}

lock_status try_word(std::uint64_t* word, mutex_words* mutex) noexcept {
  const attachment* member = find_or_attach(word);
  if (member == nullptr) return lock_status::cannot_attach;
  const attachment& self = *member;
  if (mutex != nullptr && take_biased(*word, self)) return lock_status::acquired;
  std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  for (;;) {
    if (is_free(seen)) {
      if (take_free(word, seen, self, false)) return lock_status::acquired;
      continue;
    }
    if (is_not_recoverable(seen)) return lock_status::not_recoverable;
    if (id_of(seen) == self.id) {
      if (take_own_bias(word, seen, self)) return lock_status::acquired;
      if (id_of(seen) == self.id) return lock_status::busy;
      continue;
    }
    // A program that only ever tries must learn of an unmarked death too, at the cost of
    // system calls.
    const owner_view owner = look_at_owner(*self.region, seen);
    if (owner.dead || is_gone_unmarked(*self.region, owner, seen)) {
      lock_status status{};
      if (take_from_dead(word, seen, self, false, status)) return status;
      continue;
    }
    if (mutex == nullptr || !is_biased(seen) || holds_by_bias(*self.region, word, seen)) {
      return lock_status::busy;
    }
    switch (revoke_bias(*self.region, word, seen, mutex->revocations, *owner.slot, false)) {
    case bias_state::word_changed:
      break;
    case bias_state::held:
      return lock_status::busy;
    case bias_state::free:
      if (take_free(word, seen, self, false)) return lock_status::acquired;
      break;
    }
  }
}

} // namespace

lock_status lock_contended(mutex_words& mutex, const wait_limits& limits) noexcept {
  return wait_for_word(&mutex.word, &mutex, mutex.spins, limits, long_wait);
}
lock_status try_lock_contended(mutex_words& mutex) noexcept {
  return try_word(&mutex.word, &mutex);
}
lock_status lock_contended(std::uint64_t& word, const wait_limits& limits,
                           std::int64_t long_after) noexcept {
  std::uint16_t spins = 0; // not remembered: the lock has no room for it
  return wait_for_word(&word, nullptr, spins, limits, long_after);
}
lock_status try_lock_contended(std::uint64_t& word) noexcept {
  return try_word(&word, nullptr);
}

} // namespace deadbolt::regions
