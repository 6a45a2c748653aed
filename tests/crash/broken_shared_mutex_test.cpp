// SPDX-License-Identifier: MIT
// The harness finds what is wrong with a shared_mutex, and nothing where nothing is wrong.
#include "attack.hpp"

#include "crash/subjects/shared_mutex.hpp"

#include <deadbolt/shared_mutex.hpp>
#include <new>

namespace deadbolt::crash {
namespace {

enum class fault : std::uint8_t {
  none,
  counts_readers, // writers believe a count that a dead reader does not correct
  forgets_writer, // the lock does not know that its dead writer was inside
};

class twin_shared_mutex final : public shared_mutex_subject {
public:
  constexpr twin_shared_mutex(side victim, fault fault)
      : shared_mutex_subject{victim, side::writer}, fault_{fault} {}

  [[nodiscard]] std::string_view name() const override { return "twin"; }
  [[nodiscard]] std::size_t size() const override { return sizeof(twin); }
  void create(void* lock) const override { new (lock) twin; }
  void destroy(void* lock) const override { static_cast<twin*>(lock)->~twin(); }
  grant victims_lock(void* lock) const override {
    const grant result = shared_mutex_subject::victims_lock(lock);
    if (fault_ == fault::counts_readers) __atomic_fetch_add(count(lock), 1, __ATOMIC_SEQ_CST);
    if (fault_ == fault::forgets_writer) __atomic_store_n(state(lock), 0, __ATOMIC_SEQ_CST);
    return result;
  }
  bool victims_unlock(void* lock) const override {
    if (fault_ == fault::counts_readers) __atomic_fetch_sub(count(lock), 1, __ATOMIC_SEQ_CST);
    return shared_mutex_subject::victims_unlock(lock);
  }
  grant try_lock(void* lock) const override {
    const grant result = shared_mutex_subject::try_lock(lock);
    if (!held(result) || __atomic_load_n(count(lock), __ATOMIC_SEQ_CST) == 0) return result;
    unlock(lock);
    return grant::busy;
  }
  [[nodiscard]] grant heir_is_told(const void* lock) const override {
    return fault_ == fault::forgets_writer ? grant::owner_died
                                           : shared_mutex_subject::heir_is_told(lock);
  }

private:
  struct twin {
    shared_mutex lock;
    std::uint32_t readers = 0;
  };
  static std::uint32_t* count(void* lock) { return &static_cast<twin*>(lock)->readers; }
  static std::uint32_t* state(void* lock) { return static_cast<std::uint32_t*>(lock) + 3; }

  fault fault_;
};

// A row points to its subject: the twins live as long as the tests.
template <side Victim, fault Fault>
row attack_twin(std::string_view scenario) {
  static constexpr twin_shared_mutex twin{Victim, Fault};
  return attack(twin, scenario, guard_named("none"));
}

TEST(healthy_shared_mutex, is_clean) {
  for (const std::string_view scenario : {"reuse", "waiter"}) {
    const row row = attack_twin<side::reader, fault::none>(scenario);
    EXPECT_EQ(row.judge(), standing::clean) << describe(row);
    EXPECT_GT(row.kill_points(), 20u);
  }
}

TEST(broken_shared_mutex, count_of_readers_loses_the_lock) {
  const row row = attack_twin<side::reader, fault::counts_readers>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::corrupted), 0u) << describe(row);
}

TEST(broken_shared_mutex, writers_death_that_is_not_told_is_found) {
  const row row = attack_twin<side::writer, fault::forgets_writer>("reuse");
  EXPECT_EQ(row.judge(), standing::unclean);
  EXPECT_GT(row.count(outcome::lost), 0u) << describe(row);
  EXPECT_EQ(row.count(outcome::owner_died), 0u) << describe(row);
}

} // namespace
} // namespace deadbolt::crash
