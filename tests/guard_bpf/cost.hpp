// SPDX-License-Identifier: MIT
// What a guard could cost: a signal, and a lock.
#ifndef DEADBOLT_TESTS_GUARD_BPF_COST_HPP
#define DEADBOLT_TESTS_GUARD_BPF_COST_HPP

namespace guard_test {

// Nanoseconds, of the best of several runs: what other processes take is left out.
[[nodiscard]] double signal_cost(); // raise() with a handler that does nothing
[[nodiscard]] double lock_cost();   // lock and unlock of the libc's robust mutex

} // namespace guard_test
#endif
