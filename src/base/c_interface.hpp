// SPDX-License-Identifier: MIT
// Helpers that the functions for C share.
#ifndef DEADBOLT_BASE_C_INTERFACE_HPP
#define DEADBOLT_BASE_C_INTERFACE_HPP

#include <base/message.hpp>
#include <chrono>
#include <time.h>
#include <type_traits>

namespace deadbolt::base {

// The C++ object that has the same bytes as the C struct.
template <class Cpp, class C>
Cpp& as(C* object) noexcept {
  static_assert(std::is_standard_layout_v<Cpp>);
  static_assert(sizeof(Cpp) == sizeof(C));
  static_assert(alignof(Cpp) <= alignof(C));
  return *reinterpret_cast<Cpp*>(object);
}

// Calls lock(time point) with `time` on its clock.
template <class Lock>
auto at_time(const void* object, clockid_t clock, const timespec* time, Lock&& lock) noexcept {
  using namespace std::chrono;
  const auto since = seconds{time->tv_sec};
  const auto more = nanoseconds{time->tv_nsec};
  // Clamp an overflowing time to "no deadline".
  const bool for_ever = since >= duration_cast<seconds>(nanoseconds::max());
  const bool is_over = since < seconds{0};
  const nanoseconds whole = for_ever  ? nanoseconds::max()
                            : is_over ? nanoseconds{0}
                                      : nanoseconds{since} + more;
  switch (clock) {
  case CLOCK_MONOTONIC:
    return lock(steady_clock::time_point{whole});
  case CLOCK_REALTIME:
    return lock(system_clock::time_point{whole});
  default:
    message{}
        .text("a timed call for ")
        .pointer(object)
        .text(" by clock ")
        .number(clock)
        .text(": only CLOCK_MONOTONIC and CLOCK_REALTIME are known")
        .abort();
  }
}

} // namespace deadbolt::base
#endif
