// SPDX-License-Identifier: MIT
// The harness finds what is wrong with a semaphore or a condition variable, and nothing where
// nothing is wrong.
#include "attack.hpp"

#include "crash/subjects/condition_variable.hpp"
#include "crash/subjects/counting_semaphore.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

enum class fault : std::uint8_t {
  none,
  counts, // a count of permits, which no death corrects
};

// The words behind the subject's own.
template <fault Fault>
class twin_semaphore final : public counting_semaphore_subject {
public:
  constexpr twin_semaphore() : counting_semaphore_subject{1} {}
  [[nodiscard]] std::string_view name() const override { return "twin"; }
  [[nodiscard]] std::size_t size() const override {
    return counting_semaphore_subject::size() + sizeof(std::uint64_t);
  }
  grant victims_lock(void* lock) const override {
    const grant result = counting_semaphore_subject::victims_lock(lock);
    if (Fault == fault::counts) __atomic_fetch_add(extra(lock), 1, __ATOMIC_SEQ_CST);
    return result;
  }
  bool victims_unlock(void* lock) const override {
    if (Fault == fault::counts) __atomic_fetch_sub(extra(lock), 1, __ATOMIC_SEQ_CST);
    return counting_semaphore_subject::victims_unlock(lock);
  }
  grant try_lock(void* lock) const override {
    const grant result = counting_semaphore_subject::try_lock(lock);
    if (!held(result) || __atomic_load_n(extra(lock), __ATOMIC_SEQ_CST) == 0) return result;
    unlock(lock);
    return grant::busy;
  }

private:
  std::uint64_t* extra(void* lock) const {
    return static_cast<std::uint64_t*>(lock) +
           counting_semaphore_subject::size() / sizeof(std::uint64_t);
  }
};

// Waits as before there were bounds: until it is notified.
class unbounded_condition final : public condition_variable_subject {
public:
  constexpr unbounded_condition() : condition_variable_subject{last_step::notify} {}
  [[nodiscard]] std::string_view name() const override { return "twin"; }
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

template <class Twin>
row attack_twin(std::string_view scenario, unsigned stride = 1) {
  static constexpr Twin twin{};
  return attack(twin, scenario, guard_named("none"), 30, stride);
}

TEST(healthy_semaphore, is_clean) {
  const row row = attack_twin<twin_semaphore<fault::none>>("reuse");
  EXPECT_EQ(row.judge(), standing::clean) << describe(row);
  EXPECT_GT(row.kill_points(), 20u);
}

TEST(broken_semaphore, count_of_permits_loses_one) {
  const row row = attack_twin<twin_semaphore<fault::counts>>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

// Nearly every instruction strands the waiter, and each has the harness wait: some will do.
TEST(broken_condition_variable, unbounded_sleep_strands_the_waiter) {
  const row row = attack_twin<unbounded_condition>("waiter", 13);
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::stranded), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

} // namespace
} // namespace deadbolt::crash
