// SPDX-License-Identifier: MIT
// Making a lock's owner die.
#ifndef DEADBOLT_TESTS_DEAD_OWNER_HPP
#define DEADBOLT_TESTS_DEAD_OWNER_HPP

#include <deadbolt/lock_result.hpp>

#include <child_process.hpp>

namespace deadbolt::testing {

// A child takes the lock, even if the last owner died, and is killed as its owner.
template <class Lock>
void let_an_owner_die(Lock& lock) {
  const ending end = run_in_child([&] {
    CHILD_EXPECT(lock.lock().status() != lock_status::not_recoverable);
    raise(SIGKILL);
  });
  ASSERT_EQ(end, killed_by(SIGKILL));
}

} // namespace deadbolt::testing
#endif
