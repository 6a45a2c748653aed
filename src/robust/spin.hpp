// SPDX-License-Identifier: MIT
// How long to look at a held lock before sleeping.
#ifndef DEADBOLT_ROBUST_SPIN_HPP
#define DEADBOLT_ROBUST_SPIN_HPP

#include <cstdint>
#include <raw_syscall.hpp>

namespace deadbolt::robust {

// CPUs that this process could run on when it was loaded; 1: spinning is useless.
extern constinit bool more_than_one_cpu;

// Spins a little longer than the lock's waiters have needed of late, and keeps
// that estimate, in a word of the lock that all of them write without care.
class spinner {
public:
  explicit spinner(std::uint32_t& estimate) noexcept
      : estimate_{estimate}, limit_{more_than_one_cpu ? limit_for(estimate) : 0} {}
  spinner(const spinner&) = delete;
  spinner& operator=(const spinner&) = delete;
  ~spinner() {
    if (looks_ == 0) return;
    const std::uint32_t old = __atomic_load_n(&estimate_, __ATOMIC_RELAXED);
    // A quarter of the way towards what it took this time.
    const std::uint32_t next = old - old / 4 + looks_ / 4;
    if (next != old) __atomic_store_n(&estimate_, next, __ATOMIC_RELAXED);
  }

  // Waits a moment and returns true, or false when it is time to sleep.
  bool again() noexcept {
    if (looks_ >= limit_) return false;
    ++looks_;
    arch::spin_pause();
    return true;
  }

private:
  static constexpr std::uint32_t least = 20;
  static constexpr std::uint32_t most = 200;
  static std::uint32_t limit_for(const std::uint32_t& estimate) noexcept {
    const std::uint32_t old = __atomic_load_n(&estimate, __ATOMIC_RELAXED);
    return old >= (most - least) / 2 ? most : 2 * old + least;
  }

  std::uint32_t& estimate_;
  std::uint32_t limit_;
  std::uint32_t looks_ = 0;
};

} // namespace deadbolt::robust
#endif
