// SPDX-License-Identifier: MIT
// How long to look at a held lock before sleeping.
#ifndef DEADBOLT_BASE_SPIN_HPP
#define DEADBOLT_BASE_SPIN_HPP

#include <cstdint>
#include <raw_syscall.hpp>

namespace deadbolt::base {

// CPUs that this process could run on when it was loaded; 1: spinning is useless.
extern constinit bool more_than_one_cpu;

// Looks at the lock again and again, with a pause between two looks that doubles: each
// look takes the word's cache line from an owner who may be about to take and release
// the lock many times more. Gives up after about twice what the lock's waiters have
// needed of late, in a word of the lock that all of them write without care.
class spinner {
public:
  explicit spinner(std::uint32_t& estimate) noexcept
      : estimate_{estimate}, limit_{more_than_one_cpu ? limit_for(estimate) : 0} {}
  spinner(const spinner&) = delete;
  spinner& operator=(const spinner&) = delete;

  // Waits a moment and returns true, or false when it is time to sleep.
  bool again() noexcept {
    if (gave_up_) return false;
    if (paused_ >= limit_) {
      gave_up_ = true;
      remember();
      return false;
    }
    for (std::uint32_t i = 0; i < pause_; ++i) arch::spin_pause();
    paused_ += pause_;
    pause_ *= 2;
    return true;
  }

  // Updates the estimate, once. For a caller that holds the lock, or has it announced:
  // after that its memory may be another's.
  void remember() noexcept {
    if (paused_ == 0) return;
    const std::uint32_t old = __atomic_load_n(&estimate_, __ATOMIC_RELAXED);
    // A quarter of the way towards what it took this time; where spinning ends in
    // sleep, less of it is better.
    const std::uint32_t next = old - old / 4 + (gave_up_ ? 0 : paused_ / 4);
    if (next != old) __atomic_store_n(&estimate_, next, __ATOMIC_RELAXED);
    paused_ = 0;
  }

private:
  // In pause instructions, of 10 to 50 ns each: less than a sleep and a wake cost.
  static constexpr std::uint32_t least = 64;
  static constexpr std::uint32_t most = 400;
  static std::uint32_t limit_for(const std::uint32_t& estimate) noexcept {
    const std::uint32_t old = __atomic_load_n(&estimate, __ATOMIC_RELAXED);
    return old >= (most - least) / 2 ? most : 2 * old + least;
  }

  std::uint32_t& estimate_;
  std::uint32_t limit_;
  std::uint32_t pause_ = 1;
  std::uint32_t paused_ = 0;
  bool gave_up_ = false;
};

} // namespace deadbolt::base
#endif
