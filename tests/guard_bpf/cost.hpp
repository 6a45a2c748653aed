// SPDX-License-Identifier: MIT
// The operations that a guard may slow down: a signal and a lock.
#ifndef DEADBOLT_TESTS_GUARD_BPF_COST_HPP
#define DEADBOLT_TESTS_GUARD_BPF_COST_HPP

namespace guard_test {

// Nanoseconds, the minimum of several runs: without the time that other processes take.
[[nodiscard]] double signal_cost(); // raise() with a handler that does nothing
[[nodiscard]] double lock_cost();   // lock and unlock of the libc's robust mutex

} // namespace guard_test
#endif
