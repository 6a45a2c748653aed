// SPDX-License-Identifier: MIT
// The two clocks that a futex can sleep by, in nanoseconds.
#ifndef DEADBOLT_BASE_CLOCK_HPP
#define DEADBOLT_BASE_CLOCK_HPP

#include <cstdint>
#include <deadbolt/detail/timed_lock.hpp>
#include <time.h>

namespace deadbolt::base {

using absolute_time = detail::deadline;

inline constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;

inline timespec to_timespec(std::int64_t nanoseconds) noexcept {
  return {.tv_sec = nanoseconds / nanoseconds_per_second,
          .tv_nsec = nanoseconds % nanoseconds_per_second};
}

inline std::int64_t now(bool realtime = false) noexcept {
  timespec time;
  clock_gettime(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &time);
  return time.tv_sec * nanoseconds_per_second + time.tv_nsec;
}

} // namespace deadbolt::base
#endif
