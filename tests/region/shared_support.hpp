// SPDX-License-Identifier: MIT
// A region with shared_mutexes, and what tests look at in its holds.
#ifndef DEADBOLT_TESTS_SHARED_SUPPORT_HPP
#define DEADBOLT_TESTS_SHARED_SUPPORT_HPP

#include <deadbolt/shared_mutex.hpp>
#include <region/format.hpp>
#include <region_support.hpp>

namespace deadbolt::testing {

struct shared_board {
  deadbolt::shared_mutex lock;
  deadbolt::shared_mutex other;
  gate held;
  gate done;
  std::atomic<std::uint64_t> first;
  std::atomic<std::uint64_t> second;
  std::uint64_t plain;
};

struct many_locks {
  deadbolt::shared_mutex lock[shared_mutex::most_shared_holds + 1];
};

inline std::uint64_t word_of(const deadbolt::shared_mutex& lock) {
  return __atomic_load_n(lock.native_handle(), __ATOMIC_ACQUIRE);
}

// Holds of the lock in the whole table, dead members' too; `last` gets the last one.
inline std::uint32_t holds_of(region& region, const deadbolt::shared_mutex& lock,
                              std::uint64_t* last = nullptr) {
  const auto name = static_cast<std::uint64_t>(
      reinterpret_cast<const std::byte*>(&lock) -
      reinterpret_cast<const std::byte*>(regions::region_at(region.data())->header()));
  std::uint32_t count = 0;
  for (std::uint32_t slot = 0; slot < region.members(); ++slot) {
    std::uint64_t seen = 0;
    if (regions::find_hold(slot_at(region, slot), name, seen) == nullptr) continue;
    ++count;
    if (last != nullptr) *last = seen;
  }
  return count;
}

// The hold of `lock` that there is, with its flag; 0 if there is none.
template <class Data>
std::uint64_t own_hold(region_of<Data>& shared) {
  std::uint64_t seen = 0;
  holds_of(shared.handle(), shared->lock, &seen);
  return seen;
}

// Opens `held` when it reads, and reads until `done` is open.
inline child_process reader_until_done(region_of<shared_board>& shared) {
  return child_process{[&shared] {
    CHILD_EXPECT(name(shared->lock.lock_shared()) == "acquired");
    shared->held.open();
    shared->done.pass("the end of reading");
    CHILD_EXPECT(name(shared->lock.unlock_shared()) == "released");
  }};
}

} // namespace deadbolt::testing
#endif
