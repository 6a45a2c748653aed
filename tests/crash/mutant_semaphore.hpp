// SPDX-License-Identifier: MIT
// deadbolt::counting_semaphore with one permit, and its mutant.
#ifndef DEADBOLT_TESTS_CRASH_MUTANT_SEMAPHORE_HPP
#define DEADBOLT_TESTS_CRASH_MUTANT_SEMAPHORE_HPP

#include "crash/locks.hpp"

#include <unistd.h>

namespace deadbolt::crash {

class mutant_semaphore : public semaphore_subject<2> {
public:
  constexpr mutant_semaphore() : semaphore_subject{"mutant", "a test's", 1, 0} {}
};

// Relies on a count of holders, which no death corrects. The count is the word behind the
// semaphore.
class counted_semaphore final : public mutant_semaphore {
public:
  [[nodiscard]] std::size_t size() const override {
    return mutant_semaphore::size() + sizeof(std::uint64_t);
  }
  void create(void* lock) const override {
    mutant_semaphore::create(lock);
    *holders(lock) = 0;
  }
  grant lock(void* lock) const override {
    const grant result = mutant_semaphore::lock(lock);
    while (is_held(lock)) usleep(1000);
    return counted(lock, result);
  }
  grant try_lock(void* lock) const override {
    return is_held(lock) ? grant::busy : counted(lock, mutant_semaphore::try_lock(lock));
  }
  bool unlock(void* lock) const override {
    __atomic_fetch_sub(holders(lock), 1, __ATOMIC_SEQ_CST);
    return mutant_semaphore::unlock(lock);
  }

private:
  grant counted(void* lock, grant result) const {
    if (held(result)) __atomic_fetch_add(holders(lock), 1, __ATOMIC_SEQ_CST);
    return result;
  }
  bool is_held(void* lock) const { return __atomic_load_n(holders(lock), __ATOMIC_SEQ_CST) != 0; }
  std::uint64_t* holders(void* lock) const {
    return static_cast<std::uint64_t*>(lock) + mutant_semaphore::size() / sizeof(std::uint64_t);
  }
};

} // namespace deadbolt::crash
#endif
