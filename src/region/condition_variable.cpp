// SPDX-License-Identifier: MIT
// The protocol is models/region_condition_variable.pml.
#include <deadbolt/condition_variable.hpp>

#include <base/futex.hpp>
#include <base/message.hpp>
#include <errno.h>
#include <limits.h>
#include <region/open_region.hpp>
#include <region/waiting.hpp>

namespace deadbolt {
namespace {

// Bit 0: a thread may be asleep. A waiter sets it with the mutex held, before it sleeps; a notify
// that leaves no thread asleep clears it. The other bits count notifies.
constexpr std::uint32_t may_sleep = 1;
constexpr std::uint32_t one_notify = 2;

std::uint32_t load(const std::uint32_t& word) noexcept {
  return __atomic_load_n(&word, __ATOMIC_RELAXED);
}

// order: relaxed throughout. What is waited for is ordered by the mutex: a signaller that
// changed it after a waiter looked has taken the mutex after that waiter set its bit, so
// it finds the bit; and the kernel's compare is atomic with its queue.
bool change(std::uint32_t& word, std::uint32_t& seen, std::uint32_t to) noexcept {
  return __atomic_compare_exchange_n(&word, &seen, to, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

} // namespace

std::uint32_t condition_variable::announce_sleep() noexcept {
  return __atomic_fetch_or(&word_, may_sleep, __ATOMIC_RELAXED) | may_sleep;
}

// Only the kernel reads the word here, to compare it: after a notify the memory may be used for
// something else.
// death order: whoever dies owes a wake at most, and no sleep is longer than the bound.
wait_status condition_variable::sleep(std::uint32_t ticket,
                                      const detail::wait_limits& limits) const noexcept {
  const detail::open_region* const in = regions::region_at(this);
  const std::int64_t longest = in == nullptr ? regions::usual_longest_sleep
                                             : in->longest_sleep.load(std::memory_order_relaxed);
  const std::int64_t until = regions::sleep_end(longest, limits.until);
  // Of several words that are woken at the same time, futex_waitv names the last: a notify that
  // this thread was given must not be taken for a stop.
  const base::watched_word words[] = {
      {limits.stop == nullptr ? nullptr : limits.stop->native_handle(), 0}, {&word_, ticket}};
  const unsigned first = limits.stop == nullptr ? 1 : 0;
  long result = -ENOSYS;
  // A handler that was installed with SA_RESTART ends a sleep by futex(2) that has an end, but none
  // by futex_waitv(2).
  if (limits.interruptible) {
    result = base::futex_wait_any(words + first, 2 - first, until);
    if (result == 0 && limits.stop != nullptr) return wait_status::interrupted;
  }
  const bool refused = result < 0 && result != -EAGAIN && result != -EINTR &&
                       result != -ETIMEDOUT && result != -EFAULT;
  if (refused) {
    // The wait is not interruptible, or an old kernel or a sandbox refused futex_waitv. In the
    // second case a flag is looked at after each short sleep.
    const std::int64_t soon = limits.stop == nullptr ? until : base::now() + regions::first_sleep;
    result = base::futex_wait_until(&word_, ticket, {false, until < soon ? until : soon});
  }
  // Woken by a notify, whatever else is over: the caller must look at the data, for another waiter
  // was not woken in its place.
  if (result >= 0) return wait_status::awake;
  // EFAULT: unmapped since, as it may be after the notify.
  if (result != -EAGAIN && result != -EINTR && result != -ETIMEDOUT && result != -EFAULT) {
    regions::sleep_a_moment(); // a sandbox, with whatever error it chose
  }
  const auto last =
      result == -EINTR ? regions::sleep_result::interrupted : regions::sleep_result::woken;
  if (regions::is_told_to_end(limits, last)) return wait_status::interrupted;
  return regions::is_over(limits.until) ? wait_status::timed_out : wait_status::awake;
}

void condition_variable::notify_one() noexcept {
  std::uint32_t seen = load(word_);
  do {
    if ((seen & may_sleep) == 0) return;
  } while (!change(word_, seen, seen + one_notify));
  if (base::futex_wake(&word_, 1) > 0) return;
  // No thread slept on the old value: clear the bit. Threads that began to sleep since sleep on the
  // new value, and no notify would look for them once the bit is clear: so wake them all. They set
  // the bit again if they wait again.
  std::uint32_t mine = seen + one_notify;
  if (change(word_, mine, (mine + one_notify) & ~may_sleep)) base::futex_wake(&word_, INT_MAX);
}

void condition_variable::notify_all() noexcept {
  std::uint32_t seen = load(word_);
  do {
    if ((seen & may_sleep) == 0) return;
  } while (!change(word_, seen, (seen + one_notify) & ~may_sleep));
  base::futex_wake(&word_, INT_MAX);
}

const char* DEADBOLT_ABI::to_string(wait_status status) noexcept {
  switch (status) {
  case wait_status::awake:
    return "awake";
  case wait_status::timed_out:
    return "timed_out";
  case wait_status::owner_died:
    return "owner_died";
  case wait_status::not_recoverable:
    return "not_recoverable";
  case wait_status::not_owner:
    return "not_owner";
  case wait_status::interrupted:
    return "interrupted";
  }
  return "not a wait_status";
}

void detail::abort_unexamined(wait_status status, const void* lock) noexcept {
  base::message{}
      .text("a wait with the mutex at ")
      .pointer(lock)
      .text(" gave ")
      .text(to_string(status))
      .text(" and nobody looked: call status() on the result")
      .abort();
}

} // namespace deadbolt
