// SPDX-License-Identifier: MIT
#include <base/futex.hpp>

#include <errno.h>
#include <stdint.h>

namespace deadbolt::base {
namespace {

// Linux 5.14. Its number is in uapi headers since then.
constexpr int lock_pi2 = 13;

// FUTEX_LOCK_PI takes an absolute time of CLOCK_REALTIME only.
long lock_pi_by_realtime(std::uint32_t* word, const absolute_time* until) noexcept {
  if (until == nullptr) return arch::raw_syscall(SYS_futex, word, FUTEX_LOCK_PI);
  std::int64_t realtime = until->nanoseconds;
  // A time too far away for CLOCK_REALTIME's numbers is the farthest that there is.
  if (!until->realtime &&
      __builtin_add_overflow(now(true), until->nanoseconds - now(), &realtime)) {
    realtime = INT64_MAX;
  }
  const timespec time = to_timespec(realtime > 0 ? realtime : 0);
  return arch::raw_syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, &time);
}

} // namespace

long futex_lock_pi(std::uint32_t* word, const absolute_time* until) noexcept {
  timespec time{};
  if (until != nullptr) time = to_timespec(until->nanoseconds);
  const bool realtime = until != nullptr && until->realtime;
  const long result =
      arch::raw_syscall(SYS_futex, word, lock_pi2 | (realtime ? FUTEX_CLOCK_REALTIME : 0), 0,
                        until != nullptr ? &time : nullptr);
  // A kernel with PI futexes but without FUTEX_LOCK_PI2 returns ENOSYS. A kernel without PI
  // futexes returns ENOSYS for FUTEX_LOCK_PI, too.
  return result == -ENOSYS ? lock_pi_by_realtime(word, until) : result;
}

} // namespace deadbolt::base
