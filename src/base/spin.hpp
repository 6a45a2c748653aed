// SPDX-License-Identifier: MIT
// How long to look at a held lock before sleeping.
#ifndef DEADBOLT_BASE_SPIN_HPP
#define DEADBOLT_BASE_SPIN_HPP

#include <cstdint>
#include <raw_syscall.hpp>

namespace deadbolt::base {

// Whether this process could run on more than one CPU when it was loaded. On one CPU
// spinning is useless.
extern constinit bool more_than_one_cpu;

// Paces a waiter that re-reads the lock word: the pause between two reads doubles, because
// each read takes the word's cache line from an owner that may soon lock and unlock many
// times more. Gives up after about twice the time that the lock's waiters needed lately. A
// word of the lock holds that estimate; all waiters write it, and races on it do no harm.
template <typename Estimate>
class spinner {
public:
  explicit spinner(Estimate& estimate) noexcept
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

  // Updates the estimate, once. The caller must hold the lock or have announced an operation on
  // it; otherwise the lock's memory may have been reused.
  void remember() noexcept {
    if (paused_ == 0) return;
    const std::uint32_t old = __atomic_load_n(&estimate_, __ATOMIC_RELAXED);
    // Moves the estimate a quarter of the way towards the pauses that this waiter needed, or
    // towards 0 if its spinning ended in a sleep.
    const std::uint32_t next = old - old / 4 + (gave_up_ ? 0 : paused_ / 4);
    if (next != old) __atomic_store_n(&estimate_, static_cast<Estimate>(next), __ATOMIC_RELAXED);
    paused_ = 0;
  }

private:
  // In pause instructions, of 10 to 50 ns each: less than a sleep and a wake cost.
  static constexpr std::uint32_t least = 64;
  static constexpr std::uint32_t most = 400;
  static std::uint32_t limit_for(const Estimate& estimate) noexcept {
    const std::uint32_t old = __atomic_load_n(&estimate, __ATOMIC_RELAXED);
    return old >= (most - least) / 2 ? most : 2 * old + least;
  }

  Estimate& estimate_;
  std::uint32_t limit_;
  std::uint32_t pause_ = 1;
  std::uint32_t paused_ = 0;
  bool gave_up_ = false;
};

// Paces a thread that finds locks held again and again, each time soon after the time before and
// for a moment only: such a lock's users do little else than take its cache lines from each other.
// Each time the thread waits for twice as long before it looks again, and the others work at full
// speed meanwhile. A thread that finds locks held seldom, or for longer, hardly waits. One for each
// thread.
class pace {
public:
  // Call this when a lock was found held. `was_short`: it is free again, a moment later.
  void wait(bool was_short) noexcept;

  // In pause instructions, as in spinner: shorter than a sleep and a wake.
  static constexpr std::uint32_t most_pauses = 512;
  // The pauses of the last wait that made any; each wait changes this number first. For tests.
  [[nodiscard]] std::uint32_t pauses() const noexcept { return pauses_; }

private:
  std::int64_t last_ = 0; // when the last wait ended; CLOCK_MONOTONIC
  std::uint32_t pauses_ = 1;
};

} // namespace deadbolt::base
#endif
