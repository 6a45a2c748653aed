// SPDX-License-Identifier: MIT
// Points that threads and processes of a test reach in turn.
#ifndef DEADBOLT_TESTS_GATE_HPP
#define DEADBOLT_TESTS_GATE_HPP

#include <watchdog.hpp>

#include <atomic>

namespace deadbolt::testing {

// One thread or process opens the gate once, others wait for it. May lie in shared memory and be
// used in a signal handler.
class gate {
public:
  void open() noexcept { open_.store(true, std::memory_order_release); }
  void pass(const char* what) noexcept {
    await(what, [this] { return open_.load(std::memory_order_acquire); });
  }

private:
  std::atomic<bool> open_{false};
};

} // namespace deadbolt::testing
#endif
