// SPDX-License-Identifier: MIT
// Mutants of the lock whose waiters sleep on a deadbolt::condition_variable.
#ifndef DEADBOLT_TESTS_CRASH_MUTANT_CONDITION_VARIABLE_HPP
#define DEADBOLT_TESTS_CRASH_MUTANT_CONDITION_VARIABLE_HPP

#include "crash/locks.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::crash {

// A waiter sleeps until it is notified, with no bound.
class unbounded_condition final : public condition_variable_subject {
public:
  constexpr unbounded_condition()
      : condition_variable_subject{"mutant", "a test's", last_step::notify} {}
  [[nodiscard]] std::size_t size() const override {
    return condition_variable_subject::size() + sizeof(std::uint32_t);
  }
  grant lock(void* lock) const override {
    for (;;) {
      const std::uint32_t seen = __atomic_load_n(notifies(lock), __ATOMIC_SEQ_CST);
      const grant result = try_lock(lock);
      if (result != grant::busy) return result;
      syscall(SYS_futex, notifies(lock), FUTEX_WAIT, seen, nullptr);
    }
  }
  bool unlock(void* lock) const override {
    const bool released = condition_variable_subject::unlock(lock);
    __atomic_fetch_add(notifies(lock), 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, notifies(lock), FUTEX_WAKE, 1);
    return released;
  }

private:
  std::uint32_t* notifies(void* lock) const {
    return static_cast<std::uint32_t*>(lock) +
           condition_variable_subject::size() / sizeof(std::uint32_t);
  }
};

// A waiter takes the end of its sleep for an open door.
class hasty_condition final : public condition_variable_subject {
public:
  constexpr hasty_condition()
      : condition_variable_subject{"mutant", "a test's", last_step::unlock} {}
  grant lock(void* lock) const override {
    const grant result = try_lock(lock);
    if (result != grant::busy) return result;
    usleep(1000);
    return grant::acquired;
  }
};

} // namespace deadbolt::crash
#endif
