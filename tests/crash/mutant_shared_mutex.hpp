// SPDX-License-Identifier: MIT
// deadbolt::shared_mutex, and its mutants.
#ifndef DEADBOLT_TESTS_CRASH_MUTANT_SHARED_MUTEX_HPP
#define DEADBOLT_TESTS_CRASH_MUTANT_SHARED_MUTEX_HPP

#include "crash/locks.hpp"

#include <deadbolt/shared_mutex.hpp>
#include <new>
#include <unistd.h>

namespace deadbolt::crash {

enum class shared_fault : std::uint8_t {
  none,
  counts_readers, // writers rely on a count that a dead reader does not correct
  forgets_writer, // the lock does not know that its dead writer was inside
  reads_unlocked, // readers take no lock
};

class mutant_shared_mutex final : public shared_mutex_subject {
public:
  constexpr mutant_shared_mutex(side victim, shared_fault fault)
      : shared_mutex_subject{"mutant", "a test's", victim, side::writer}, fault_{fault} {}

  [[nodiscard]] std::size_t size() const override { return sizeof(mutant); }
  void create(void* lock) const override { new (lock) mutant; }
  void destroy(void* lock) const override { static_cast<mutant*>(lock)->~mutant(); }
  grant victims_lock(void* lock) const override {
    if (fault_ == shared_fault::reads_unlocked) return grant::acquired;
    const grant result = shared_mutex_subject::victims_lock(lock);
    if (fault_ == shared_fault::counts_readers)
      __atomic_fetch_add(count(lock), 1, __ATOMIC_SEQ_CST);
    forget(lock);
    return result;
  }
  bool victims_unlock(void* lock) const override {
    if (fault_ == shared_fault::reads_unlocked) return true;
    if (fault_ == shared_fault::counts_readers)
      __atomic_fetch_sub(count(lock), 1, __ATOMIC_SEQ_CST);
    return shared_mutex_subject::victims_unlock(lock);
  }
  grant lock(void* lock) const override {
    const grant result = shared_mutex_subject::lock(lock);
    while (is_read(lock)) usleep(1000);
    forget(lock);
    return result;
  }
  grant try_lock(void* lock) const override {
    return is_read(lock) ? grant::busy : shared_mutex_subject::try_lock(lock);
  }
  [[nodiscard]] grant next_owner_is_told(const void* lock) const override {
    return fault_ == shared_fault::forgets_writer ? grant::owner_died
                                                  : shared_mutex_subject::next_owner_is_told(lock);
  }

private:
  struct mutant {
    shared_mutex lock;
    std::uint32_t readers = 0;
  };
  void forget(void* lock) const {
    if (fault_ == shared_fault::forgets_writer) __atomic_store_n(state(lock), 0, __ATOMIC_SEQ_CST);
  }
  static bool is_read(void* lock) { return __atomic_load_n(count(lock), __ATOMIC_SEQ_CST) != 0; }
  static std::uint32_t* count(void* lock) { return &static_cast<mutant*>(lock)->readers; }
  static std::uint8_t* state(void* lock) { return static_cast<std::uint8_t*>(lock) + 12; }

  shared_fault fault_;
};

} // namespace deadbolt::crash
#endif
