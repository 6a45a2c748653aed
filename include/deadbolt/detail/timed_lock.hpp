// SPDX-License-Identifier: MIT
// From the standard library's times to the two clocks that a futex knows.
#ifndef DEADBOLT_DETAIL_TIMED_LOCK_HPP
#define DEADBOLT_DETAIL_TIMED_LOCK_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/lock_result.hpp>

#include <chrono>
#include <cstdint>
#include <type_traits>

namespace deadbolt::inline DEADBOLT_ABI::detail {

// An absolute time on one of the kernel's clocks.
struct deadline {
  bool realtime; // CLOCK_REALTIME, else CLOCK_MONOTONIC
  std::int64_t nanoseconds;
};

inline constexpr std::int64_t latest_nanoseconds = INT64_MAX;

// Represents every 64-bit count of nanoseconds, and the difference of any two times: the
// caller's integer types may overflow on the way.
using wide_nanoseconds = std::chrono::duration<long double, std::nano>;

// In nanoseconds, rounded up, and clamped: the far future becomes "no deadline", and times
// before the clock's start become 0.
template <class Rep, class Period>
constexpr std::int64_t
clamped_nanoseconds(const std::chrono::duration<Rep, Period>& duration) noexcept {
  const long double exact = wide_nanoseconds{duration}.count();
  if (!(exact > 0)) return 0; // also not-a-number
  if (exact >= static_cast<long double>(latest_nanoseconds)) return latest_nanoseconds;
  const auto whole = static_cast<std::int64_t>(exact);
  return static_cast<long double>(whole) < exact ? whole + 1 : whole;
}

template <class Rep, class Period>
std::chrono::steady_clock::time_point
steady_time_after(const std::chrono::duration<Rep, Period>& duration) {
  using namespace std::chrono;
  const std::int64_t now = steady_clock::now().time_since_epoch().count();
  const std::int64_t span = clamped_nanoseconds(duration);
  return steady_clock::time_point{
      nanoseconds{span > latest_nanoseconds - now ? latest_nanoseconds : now + span}};
}

// Calls lock_until(deadline) for a time on any clock.
template <class Clock, class Duration, class LockUntil>
lock_status lock_until(const std::chrono::time_point<Clock, Duration>& time,
                       LockUntil&& lock_until) {
  using namespace std::chrono;
  if constexpr (std::is_same_v<Clock, steady_clock> || std::is_same_v<Clock, system_clock>) {
    return lock_until(deadline{std::is_same_v<Clock, system_clock>,
                               clamped_nanoseconds(time.time_since_epoch())});
  } else {
    const auto left = [&] {
      return wide_nanoseconds{time.time_since_epoch()} -
             wide_nanoseconds{Clock::now().time_since_epoch()};
    };
    for (;;) {
      const steady_clock::time_point until = steady_time_after(left());
      const lock_status status =
          lock_until(deadline{false, clamped_nanoseconds(until.time_since_epoch())});
      // Not `<= 0`: not-a-number counts as over.
      if (status != lock_status::timed_out || !(left().count() > 0)) return status;
    }
  }
}

} // namespace deadbolt::inline DEADBOLT_ABI::detail
#endif
