// SPDX-License-Identifier: MIT
// The protocol is models/region_semaphore.pml. A permit is an owner word as a mutex's
// (format.hpp) without `inconsistent`; all ones in the owner's place: withheld.
#include <deadbolt/counting_semaphore.hpp>

#include <base/futex.hpp>
#include <base/spin.hpp>
#include <region/membership.hpp>
#include <region/slots.hpp>
#include <region/waiting.hpp>

namespace deadbolt::regions {
namespace {

// Each thread begins elsewhere: fewer meet on one word, and where a sleep watches a part of
// the permits, sleepers watch different parts.
std::size_t first_permit_of(const attachment& self, std::size_t count) noexcept {
  // A division takes as long as an atomic operation.
  if ((count & (count - 1)) == 0) return self.slot_number & (count - 1);
  return self.slot_number % count;
}

// The common case: the caller's first permit is free and no thread waits. The compare-exchange is
// made without a load before it: the word was written by a locked instruction a moment ago, and a
// load would only delay this one. release() begins in the same way.
[[gnu::always_inline]] inline bool take_first(std::uint64_t* words, std::size_t count) noexcept {
  const attachment& self = *this_thread.current;
  if (!self.covers(words)) [[unlikely]]
    return false;
  std::uint64_t expected = 0;
  // order: as in take_by_exchange() of mutex.cpp.
  return __atomic_compare_exchange_n(words + first_permit_of(self, count), &expected, self.id,
                                     false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

// Permits that one sleep watches: each takes two of the kernel's words. A stop flag takes one.
constexpr std::size_t window = base::most_watched_words / 2;
constexpr std::size_t window_with_stop = window - 1;

class permits {
public:
  permits(std::uint64_t* words, std::size_t count, const attachment& self) noexcept
      : words_{words}, count_{count}, self_{self}, start_{first_permit_of(self, count)},
        length_{*self.region} {}

  enum class outcome : std::uint8_t { acquired, all_own, none };

  // Looks at every permit once and takes the first that it can. `ask`: also asks the system whether
  // an owner that is not marked is gone.
  outcome try_all(bool ask) noexcept {
    std::size_t own = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      std::uint64_t* word = at(i);
      std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      while (can_be_had(seen, ask)) {
        const std::uint64_t mine = self_.id | (seen & word_waiters) | (slept_ ? word_waiters : 0);
        // order: as in take_by_exchange() of mutex.cpp, also for a permit of a dead owner.
        if (__atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
          leave();
          return outcome::acquired;
        }
      }
      if (is_own(seen) || is_not_recoverable(seen)) ++own;
    }
    return own == count_ ? outcome::all_own : outcome::none;
  }

  // Sets the waiters bit of every permit. False: one can be taken, or its owner has changed.
  bool ask_for_wakes() noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      std::uint64_t seen = __atomic_load_n(at(i), __ATOMIC_ACQUIRE);
      if (is_free(seen)) return false;
      if (!set_waiters(at(i), seen)) return false;
    }
    return true;
  }

  // Sleeps on up to `window` permits and their owners' liveness words.
  sleep_result sleep(const wait_limits& limits) noexcept {
    watched_word words[2 * window];
    owner_view owners[window];
    unsigned used = 0;
    std::uint64_t all_owners = 0;
    const std::size_t most = limits.stop != nullptr ? window_with_stop : window;
    const std::size_t length = count_ < most ? count_ : most;
    for (std::size_t i = 0; i < length; ++i) {
      const std::uint64_t seen = __atomic_load_n(at(i), __ATOMIC_ACQUIRE);
      owners[i] = {};
      all_owners = all_owners * 0x9e3779b97f4a7c15 + id_of(seen);
      if (!is_own(seen) && !is_not_recoverable(seen)) {
        owners[i] = look_at_owner(*self_.region, seen);
        if (is_free(seen) || owners[i].dead || (seen & word_waiters) == 0) {
          return sleep_result::woken;
        }
      }
      // A kernel without futex_waitv watches the first word alone.
      words[used++] = {futex_of(at(i)), static_cast<std::uint32_t>(seen)};
      if (owners[i].life != nullptr) {
        words[used++] = {futex_of(owners[i].life), owners[i].liveness_value};
      }
    }
    if (limits.stop != nullptr) words[used++] = {limits.stop->native_handle(), 0};
    // Where it watches a part of the permits, it may miss that another is released.
    const std::int64_t longest = count_ > length ? length_.next_unsure() : length_.next(all_owners);
    const sleep_result result = sleep_on(words, used, sleep_end(longest, limits.until), words_);
    length_.ended(result == sleep_result::timed_out);
    for (std::size_t i = 0; i < length; ++i) {
      if (owners[i].life != nullptr) pass_on(owners[i]);
    }
    slept_ = true;
    // The next sleep watches the next part.
    if (count_ > length) start_ = (start_ + length) % count_;
    return result;
  }

  // One waiter can receive the wakes of several releases, and can be the only one that watches an
  // owner that came while the others slept. So a thread that has slept wakes one other waiter
  // before it leaves, with a permit or without, and that waiter looks at all permits. With a single
  // permit its waiters bit has that effect, as in a mutex.
  void leave() const noexcept {
    if (slept_ && count_ > 1) wake_for(words_, count_, words_);
  }

  // A released permit's word may be anything by now: only its address is used.
  static void wake_for(const std::uint64_t* words, std::size_t count,
                       const std::uint64_t* word) noexcept {
    // A sleeper watches at least so many permits in a row, so one of these is among them.
    const auto first = static_cast<std::size_t>(word - words);
    for (std::size_t step = 0; step < count; step += window_with_stop) {
      if (base::futex_wake(futex_of(words + (first + step) % count), 1) > 0) return;
    }
  }

private:
  [[nodiscard]] std::uint64_t* at(std::size_t i) const noexcept {
    const std::size_t index = start_ + i;
    return words_ + (index < count_ ? index : index - count_);
  }
  [[nodiscard]] bool is_own(std::uint64_t word) const noexcept { return id_of(word) == self_.id; }

  [[nodiscard]] bool can_be_had(std::uint64_t seen, bool ask) const noexcept {
    if (is_free(seen)) return true;
    if (is_not_recoverable(seen) || is_own(seen)) return false;
    const owner_view owner = look_at_owner(*self_.region, seen);
    return owner.dead || (ask && is_gone_unmarked(*self_.region, owner, seen));
  }

  // `seen` is not free. False, and `seen` is new, when the word has changed.
  // NOLINTNEXTLINE(readability-non-const-parameter): the builtin writes
  bool set_waiters(std::uint64_t* word, std::uint64_t& seen) const noexcept {
    if ((seen & word_waiters) != 0 || is_not_recoverable(seen) || is_own(seen)) return true;
    // order: acquire, for what the owner published before it wrote its id here.
    return __atomic_compare_exchange_n(word, &seen, seen | word_waiters, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_ACQUIRE);
  }

  std::uint64_t* words_;
  std::size_t count_;
  const attachment& self_;
  std::size_t start_;
  sleep_length length_;
  bool slept_ = false;
};

// The next three are not inlined into the common cases, which would then save registers: a locked
// instruction waits for these stores.

[[gnu::noinline]] lock_status acquire_another(std::uint64_t* words, std::size_t count,
                                              const detail::wait_limits& limits) noexcept {
  const attachment* member = find_or_attach(words);
  if (member == nullptr) return lock_status::cannot_attach;
  permits all{words, count, *member};
  sleep_result last = sleep_result::woken;
  evidence_clock evidence;
  std::uint32_t spins = 0; // not remembered: the semaphore has no room for it
  base::spinner spinner{spins};
  for (;;) {
    permits::outcome found = all.try_all(false);
    if (found == permits::outcome::acquired) return lock_status::acquired;
    if (found == permits::outcome::none && spinner.again()) continue;
    const bool told = is_told_to_end(limits, last);
    const bool leaves = told || is_over(limits.until);
    if (found == permits::outcome::none && evidence.is_due(last, leaves)) {
      found = all.try_all(true);
      if (found == permits::outcome::acquired) return lock_status::acquired;
    }
    if (found == permits::outcome::all_own) {
      all.leave();
      return lock_status::deadlock;
    }
    if (!all.ask_for_wakes()) continue;
    if (leaves) {
      all.leave();
      return told ? lock_status::interrupted : lock_status::timed_out;
    }
    last = all.sleep(limits);
  }
}

[[gnu::noinline]] lock_status try_another(std::uint64_t* words, std::size_t count) noexcept {
  const attachment* member = find_or_attach(words);
  if (member == nullptr) return lock_status::cannot_attach;
  permits all{words, count, *member};
  if (all.try_all(false) == permits::outcome::acquired) return lock_status::acquired;
  // A program that only ever tries must learn of an unmarked death too.
  return all.try_all(true) == permits::outcome::acquired ? lock_status::acquired
                                                         : lock_status::busy;
}

[[gnu::noinline]] unlock_status release_another(std::uint64_t* words, std::size_t count) noexcept {
  const attachment* self = find_attachment(words);
  if (self == nullptr) return unlock_status::not_owner;
  const std::size_t start = first_permit_of(*self, count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = start + i;
    std::uint64_t* word = words + (index < count ? index : index - count);
    if (id_of(__atomic_load_n(word, __ATOMIC_RELAXED)) != self->id) continue;
    // order: release, pairs with the next owner's acquire.
    // death order: nothing of the semaphore is read or written after this.
    const std::uint64_t old = __atomic_exchange_n(word, std::uint64_t{0}, __ATOMIC_RELEASE);
    if ((old & word_waiters) != 0) permits::wake_for(words, count, word);
    return unlock_status::released;
  }
  return unlock_status::not_owner;
}

} // namespace
} // namespace deadbolt::regions

namespace deadbolt::inline DEADBOLT_ABI::detail {

lock_status acquire_permit(std::uint64_t* words, std::size_t count,
                           const wait_limits& limits) noexcept {
  if (regions::take_first(words, count)) [[likely]]
    return lock_status::acquired;
  return regions::acquire_another(words, count, limits);
}

lock_status try_acquire_permit(std::uint64_t* words, std::size_t count) noexcept {
  if (regions::take_first(words, count)) [[likely]]
    return lock_status::acquired;
  return regions::try_another(words, count);
}

unlock_status release_permit(std::uint64_t* words, std::size_t count) noexcept {
  const regions::attachment& self = *regions::this_thread.current;
  if (self.covers(words)) [[likely]] {
    std::uint64_t held = self.id; // no thread waits
    // order, death order: as in release_another().
    if (__atomic_compare_exchange_n(words + regions::first_permit_of(self, count), &held,
                                    std::uint64_t{0}, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        [[likely]]
      return unlock_status::released;
  }
  return regions::release_another(words, count);
}

void withhold_permits(std::uint64_t* words, std::size_t count, std::size_t kept) noexcept {
  for (std::size_t i = kept; i < count; ++i) words[i] = regions::word_not_recoverable;
}

} // namespace deadbolt::inline DEADBOLT_ABI::detail
