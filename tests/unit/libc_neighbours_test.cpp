// SPDX-License-Identifier: MIT
// Our mutexes and the libc's robust mutexes are on the same robust list. In whatever order a thread
// locks and unlocks them, the list must stay whole.
#include <deadbolt/robust_mutex.hpp>

#include <child_process.hpp>
#include <robust_list_view.hpp>
#include <shared_memory.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <pthread.h>
#include <random>

namespace deadbolt::testing {
namespace {

enum class kind { ours, pthread, pthread_pi };

// A mutex of one kind, with a canary on each side that shows a write past the mutex.
struct any_mutex {
  static constexpr std::uint64_t canary = 0x5ca1ab1e0ddba11;

  std::uint64_t before = canary;
  union {
    robust_mutex ours;
    pthread_mutex_t pthread;
  };
  std::uint64_t after = canary;
  kind type;

  explicit any_mutex(kind k) : type{k} {
    if (type == kind::ours) {
      new (&ours) robust_mutex;
      return;
    }
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    if (type == kind::pthread_pi) {
      pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    }
    if (pthread_mutex_init(&pthread, &attributes) != 0) std::abort();
    pthread_mutexattr_destroy(&attributes);
  }
  ~any_mutex() {
    if (type == kind::ours) ours.~robust_mutex();
  }

  [[nodiscard]] const void* word() const {
    return type == kind::ours ? static_cast<const void*>(ours.native_handle()) : &pthread;
  }
  [[nodiscard]] bool canaries_live() const { return before == canary && after == canary; }

  lock_status lock() {
    if (type == kind::ours) return ours.lock().status();
    switch (pthread_mutex_lock(&pthread)) {
    case 0:
      return lock_status::acquired;
    case EOWNERDEAD:
      return lock_status::owner_died;
    default:
      return lock_status::not_recoverable;
    }
  }
  bool unlock() {
    return type == kind::ours ? ours.unlock() == unlock_status::released
                              : pthread_mutex_unlock(&pthread) == 0;
  }
  void mark_consistent() {
    if (type == kind::ours) {
      if (!ours.mark_consistent()) std::abort();
    } else {
      pthread_mutex_consistent(&pthread);
    }
  }
};

struct mutex_set {
  static constexpr std::size_t count = 9;
  std::array<any_mutex, count> all{
      any_mutex{kind::ours}, any_mutex{kind::pthread}, any_mutex{kind::pthread_pi},
      any_mutex{kind::ours}, any_mutex{kind::pthread}, any_mutex{kind::pthread_pi},
      any_mutex{kind::ours}, any_mutex{kind::pthread}, any_mutex{kind::ours},
  };
  std::array<bool, count> held{};
};

// The list must be exactly what `order` says, newest first.
::testing::AssertionResult list_is(const mutex_set& set, const std::vector<std::size_t>& order) {
  const std::vector<const void*> words = words_on_own_list();
  std::vector<const void*> wanted;
  wanted.reserve(order.size());
  for (const std::size_t index : order) wanted.push_back(set.all[index].word());
  std::ranges::reverse(wanted);
  if (words == wanted) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << words.size() << " entries on the list, " << wanted.size() << " locked, or other ones";
}

std::uint32_t seed() {
  const std::uint32_t value = std::random_device{}();
  std::printf("seed %u\n", value);
  return value;
}

// Locks and unlocks at random. `order` has the held mutexes, oldest first.
void step(mutex_set& set, std::vector<std::size_t>& order, std::mt19937& random) {
  const std::size_t chosen = random() % mutex_set::count;
  if (set.held[chosen]) {
    ASSERT_TRUE(set.all[chosen].unlock());
    std::erase(order, chosen);
  } else {
    ASSERT_EQ(set.all[chosen].lock(), lock_status::acquired);
    order.push_back(chosen);
  }
  set.held[chosen] = !set.held[chosen];
}

TEST(libc_neighbours, list_is_whole_after_every_lock_and_unlock) {
  shared<mutex_set> set;
  std::mt19937 random{seed()};
  std::vector<std::size_t> order;
  for (int i = 0; i < 20'000; ++i) {
    step(*set, order, random);
    if (HasFatalFailure()) return;
    ASSERT_TRUE(list_is(*set, order)) << "after step " << i;
    ASSERT_EQ(own_head()->list_op_pending, nullptr);
  }
  while (!order.empty()) {
    ASSERT_TRUE(set->all[order.back()].unlock());
    order.pop_back();
  }
  for (const any_mutex& mutex : set->all) EXPECT_TRUE(mutex.canaries_live());
}

TEST(libc_neighbours, owner_death_marks_exactly_what_was_held) {
  std::mt19937 random{seed()};
  for (int round = 0; round < 60; ++round) {
    shared<mutex_set> set;
    const auto steps = random() % 60;
    const auto child_seed = static_cast<std::uint32_t>(random());
    const ending end = run_in_child([&] {
      std::mt19937 childs_random{child_seed};
      std::vector<std::size_t> order;
      for (std::uint32_t i = 0; i < steps; ++i) step(*set, order, childs_random);
      if (::testing::Test::HasFatalFailure()) _exit(1);
      raise(SIGKILL);
    });
    ASSERT_EQ(end, killed_by(SIGKILL));
    for (std::size_t i = 0; i < mutex_set::count; ++i) {
      any_mutex& mutex = set->all[i];
      EXPECT_TRUE(mutex.canaries_live()) << "mutex " << i;
      ASSERT_EQ(mutex.lock(), set->held[i] ? lock_status::owner_died : lock_status::acquired)
          << "mutex " << i << " in round " << round;
      if (set->held[i]) mutex.mark_consistent();
      ASSERT_TRUE(mutex.unlock());
    }
  }
}

} // namespace
} // namespace deadbolt::testing
