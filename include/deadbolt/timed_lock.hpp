// SPDX-License-Identifier: MIT
// From the standard library's times to the two clocks that a futex knows.
#ifndef DEADBOLT_TIMED_LOCK_HPP
#define DEADBOLT_TIMED_LOCK_HPP

#include <deadbolt/lock_result.hpp>

#include <chrono>
#include <cstdint>
#include <type_traits>

namespace deadbolt::detail {

// An absolute time on one of the kernel's clocks.
struct deadline {
  bool realtime; // CLOCK_REALTIME, else CLOCK_MONOTONIC
  std::int64_t nanoseconds;
};

inline constexpr std::int64_t latest_nanoseconds = INT64_MAX;

// In nanoseconds, rounded up, and clamped: the far future is for ever, and
// what is before the clock's start is over.
template <class Rep, class Period>
constexpr std::int64_t
clamped_nanoseconds(const std::chrono::duration<Rep, Period>& duration) noexcept {
  using namespace std::chrono;
  using wide = std::chrono::duration<long double, std::nano>;
  const wide exact = duration;
  if (!(exact.count() > 0)) return 0; // also not-a-number
  if (exact.count() >= static_cast<long double>(latest_nanoseconds)) return latest_nanoseconds;
  return ceil<nanoseconds>(duration).count();
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
    for (;;) {
      const auto left = time - Clock::now();
      const steady_clock::time_point until = steady_time_after(left);
      const lock_status status =
          lock_until(deadline{false, clamped_nanoseconds(until.time_since_epoch())});
      if (status != lock_status::timed_out || Clock::now() >= time) return status;
    }
  }
}

} // namespace deadbolt::detail
#endif
