// SPDX-License-Identifier: MIT
// The protocol is models/region_condition_variable.pml.
#include <deadbolt/condition_variable.hpp>

#include <base/futex.hpp>
#include <base/message.hpp>
#include <errno.h>
#include <limits.h>
#include <region/membership.hpp>
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

wait_status condition_variable::wait_for_notify(mutex& lock,
                                                const detail::deadline* deadline) noexcept {
  const regions::attachment* const self = regions::find_attachment(&lock);
  if (self == nullptr) return wait_status::not_owner;
  const std::int64_t longest = self->region->longest_sleep.load(std::memory_order_relaxed);
  const std::uint32_t ticket = __atomic_fetch_or(&word_, may_sleep, __ATOMIC_RELAXED) | may_sleep;
  if (lock.unlock() != unlock_status::released) return wait_status::not_owner;

  // From here on only the kernel reads the word for this thread, to compare it: the memory may
  // become other data once the thread was notified.
  // death order: a thread that dies leaves at most a wake undone, and no sleep lasts longer than
  // longest_sleep.
  const std::int64_t until = regions::sleep_end(longest, deadline);
  const long result = base::futex_wait_until(&word_, ticket, {false, until});
  // EFAULT: unmapped since, as it may be after the notify.
  if (result < 0 && result != -EAGAIN && result != -EINTR && result != -ETIMEDOUT &&
      result != -EFAULT) {
    regions::sleep_a_moment(); // a sandbox, with whatever error it chose
  }
  const bool over = regions::is_over(deadline);

  switch (lock.lock().status()) {
  case lock_status::acquired:
    return over ? wait_status::timed_out : wait_status::awake;
  case lock_status::owner_died:
    return wait_status::owner_died;
  default:
    return wait_status::not_recoverable;
  }
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
