// SPDX-License-Identifier: MIT
// The protocol is models/region_mutex.pml; the names of its steps are there.
#include <region/mutex_wait.hpp>

#include <errno.h>
#include <limits.h>
#include <region/attachment.hpp>
#include <region/slot_claim.hpp>
#include <sched.h>
#include <sys/clock.hpp>
#include <sys/futex.hpp>
#include <sys/futex_waitv.hpp>
#include <sys/message.hpp>

namespace deadbolt::regions {
namespace {

// A waiter looks again this often even if nobody wakes it: who was to pass a wake on
// may have died, and an owner's death may be told to sleepers on its life word alone.
constexpr std::int64_t longest_sleep = 100'000'000;
constexpr int spins = 100;

// True until counted, so that a lock used by an earlier constructor spins too.
constinit bool more_than_one_cpu = true;
// Set when the kernel refuses futex_waitv: sleeps are on the lock word alone then.
constinit bool no_waitv = false;

[[gnu::constructor]] void count_cpus() noexcept {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) more_than_one_cpu = CPU_COUNT(&cpus) > 1;
}

// The owner that a lock word names, as the member table has it.
struct owner_view {
  bool dead;
  member_slot* slot;                      // nullptr when the word names none
  const std::atomic<std::uint32_t>* life; // the same
  std::uint32_t life_value;
};

// The word was loaded before: lock, generation, life, in that order. The generation
// moves only when its owner is gone, so a difference is proof of that; and a life
// word that is not alive is this owner's or, read late, that of a later one.
owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept {
  const std::uint32_t number = slot_of(word);
  if (number >= region.members) return {true, nullptr, nullptr, 0}; // no member writes that
  member_slot* slot = region.slot(number);
  const std::uint64_t generation = generation_of(word);
  if (slot->generation.load(std::memory_order_acquire) != generation) {
    return {true, nullptr, nullptr, 0};
  }
  const std::atomic<std::uint32_t>* life =
      life_word(slot, slot->kind.load(std::memory_order_acquire));
  if (life == nullptr) return {true, nullptr, nullptr, 0};
  const std::uint32_t value = life->load(std::memory_order_acquire);
  const bool dead =
      !is_alive(value) || slot->generation.load(std::memory_order_acquire) != generation;
  return {dead, slot, life, value};
}

// The acquisitions. `slept`: others may be asleep, so the word keeps its waiters bit.
bool take_free(std::uint64_t* word, std::uint64_t& seen, const attachment& self,
               bool slept) noexcept {
  const std::uint64_t mine = self.id | (seen & word_waiters) | (slept ? word_waiters : 0);
  // order: as in mutex::lock.
  return __atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

bool take_over(std::uint64_t* word, std::uint64_t& seen, const attachment& self,
               bool slept) noexcept {
  const std::uint64_t mine =
      self.id | word_inconsistent | (seen & word_waiters) | (slept ? word_waiters : 0);
  // order: acquire, with the kernel's mark or the detacher's token, which the owner's
  // last writes came before.
  return __atomic_compare_exchange_n(word, &seen, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

std::int64_t sleep_end(const detail::deadline* deadline) noexcept {
  const std::int64_t now = sys::now();
  std::int64_t longest = longest_sleep;
  if (deadline != nullptr) {
    const std::int64_t left = deadline->nanoseconds - (deadline->realtime ? sys::now(true) : now);
    if (left < longest) longest = left < 0 ? 0 : left;
  }
  return now + longest;
}

bool is_over(const detail::deadline* deadline) noexcept {
  return deadline != nullptr && sys::now(deadline->realtime) >= deadline->nanoseconds;
}

// Sleeps on the lock word and on its owner's life word. True when it ended because the
// time was over.
bool sleep_on(const std::uint64_t* word, std::uint64_t seen, const owner_view& owner,
              std::int64_t until) noexcept {
  const std::uint32_t* futex = futex_of(word);
  const auto value = static_cast<std::uint32_t>(seen);
  const auto* life = reinterpret_cast<const std::uint32_t*>(owner.life);
  long result = -ENOSYS;
  if (!__atomic_load_n(&no_waitv, __ATOMIC_RELAXED)) {
    result = sys::futex_wait_two(futex, value, life, owner.life_value, until);
  }
  if (result == -ENOSYS || result == -EPERM) {
    __atomic_store_n(&no_waitv, true, __ATOMIC_RELAXED);
    result = sys::futex_wait_until(futex, value, {false, until});
  }
  if (result < 0 && result != -EAGAIN && result != -EINTR && result != -ETIMEDOUT) {
    sys::message{}
        .text("sleeping on the mutex at ")
        .pointer(word)
        .text(" failed: error ")
        .number(-result)
        .abort();
  }
  // pass it on: the kernel wakes one sleeper, and all who sleep on this life word must
  // look for the next owner's.
  if (owner.life->load(std::memory_order_acquire) != owner.life_value) {
    sys::futex_wake(life, INT_MAX);
  }
  return result == -ETIMEDOUT;
}

} // namespace

lock_status lock_slow(std::uint64_t* word, const detail::deadline* deadline) noexcept {
  const attachment& self = require_attachment(word);
  bool slept = false;
  bool doubtful = false; // nobody woke us for the whole of a sleep
  int spins_left = more_than_one_cpu ? spins : 0;
  std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  for (;;) {
    if (is_free(seen)) {
      if (take_free(word, seen, self, slept)) return lock_status::acquired;
      continue;
    }
    if (is_not_recoverable(seen)) return lock_status::not_recoverable;
    if (id_of(seen) == self.id) return lock_status::deadlock;
    if (spins_left > 0) {
      --spins_left;
      arch::spin_pause();
      seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
      continue;
    }
    owner_view owner = look_at_owner(*self.region, seen);
    if (!owner.dead && doubtful) {
      owner.dead = is_gone(*owner.slot, generation_of(seen), *owner.life, owner.life_value);
    }
    if (owner.dead) {
      if (take_over(word, seen, self, slept)) return lock_status::owner_died;
      continue;
    }
    // Before the clock is asked: a waiter that gives up may have been given a wake, and
    // the waiters bit is how the next unlock knows that others sleep.
    if ((seen & word_waiters) == 0) {
      if (!__atomic_compare_exchange_n(word, &seen, seen | word_waiters, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_ACQUIRE)) {
        continue;
      }
      seen |= word_waiters;
    }
    if (is_over(deadline)) return lock_status::timed_out;
    doubtful = sleep_on(word, seen, owner, sleep_end(deadline));
    slept = true;
    seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  }
}

lock_status try_lock_slow(std::uint64_t* word) noexcept {
  const attachment& self = require_attachment(word);
  std::uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
  for (;;) {
    if (is_free(seen)) {
      if (take_free(word, seen, self, false)) return lock_status::acquired;
    } else if (is_not_recoverable(seen)) {
      return lock_status::not_recoverable;
    } else if (id_of(seen) == self.id) {
      return lock_status::busy;
    } else {
      // Who only ever tries must learn of a silent death too: at the cost of a system call.
      const owner_view owner = look_at_owner(*self.region, seen);
      if (!owner.dead &&
          !is_gone(*owner.slot, generation_of(seen), *owner.life, owner.life_value)) {
        return lock_status::busy;
      }
      if (take_over(word, seen, self, false)) return lock_status::owner_died;
    }
  }
}

} // namespace deadbolt::regions
