// SPDX-License-Identifier: MIT
// A member that writes whatever it likes into the region: the others may lose what the
// locks promise, but not their own memory, and they do not hang.
#include <deadbolt/shared_mutex.hpp>
#include <region_support.hpp>

#include <memory>
#include <random>
#include <vector>

namespace deadbolt::testing {
namespace {

using namespace std::chrono_literals;

struct board {
  deadbolt::shared_mutex shared_locks[4];
  deadbolt::mutex locks[8];
  std::atomic<std::uint64_t> operations;
  std::atomic<bool> stop;
};

std::uint32_t seed() {
  const char* given = std::getenv("DEADBOLT_SEED");
  const std::uint32_t value = given != nullptr
                                  ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 0))
                                  : std::random_device{}();
  std::printf("seed %u (DEADBOLT_SEED replays the writes)\n", value);
  return value;
}

// Values that mean something somewhere, and any others.
std::uint64_t forged(std::mt19937_64& random) {
  const std::uint64_t any = random();
  switch (any % 8) {
  case 0:
    return 0;
  case 1:
    return ~std::uint64_t{0};
  case 2:
    return any >> 32 & 0x3fff; // a free generation
  case 3:
    return regions::liveness_claimed;
  case 4:
    return FUTEX_OWNER_DIED | FUTEX_WAITERS;
  case 5:
    return static_cast<std::uint64_t>(getppid()) | FUTEX_WAITERS; // another process's TID
  case 6:
    return regions::owner_id(any >> 8 & 15, any >> 16 & 3) | (any & regions::word_flags);
  default:
    return any;
  }
}

TEST(region_hostile, random_writes_to_header_slots_and_locks_harm_no_peer) {
  region_of<board> shared{8};
  std::mt19937_64 random{seed()};
  std::vector<std::unique_ptr<child_process>> peers;
  peers.reserve(3);
  for (int peer = 0; peer < 3; ++peer) {
    peers.push_back(std::make_unique<child_process>([&, peer] {
      std::mt19937_64 choice{static_cast<std::uint64_t>(peer)};
      while (!shared->stop) {
        if (shared.handle().attach() != attach_status::attached) continue;
        deadbolt::mutex& lock = shared->locks[choice() % 8];
        lock_result result = lock.try_lock_for(200us);
        if (result.status() == lock_status::owner_died) lock.mark_consistent();
        static_cast<void>(lock.unlock());
        deadbolt::shared_mutex& other = shared->shared_locks[choice() % 4];
        const bool reads = choice() % 2 == 0;
        lock_result entered = reads ? other.try_lock_shared_for(200us) : other.try_lock_for(200us);
        if (entered.status() == lock_status::owner_died) other.mark_consistent();
        static_cast<void>(reads ? other.unlock_shared() : other.unlock());
        if (choice() % 16 == 0) shared.handle().detach();
        ++shared->operations;
      }
    }));
  }
  await("the peers", [&] { return shared->operations > 100; });
  // Everything but the operations' count and the end.
  auto* base = reinterpret_cast<std::uint64_t*>(regions::region_at(&*shared)->header());
  const auto words =
      static_cast<std::size_t>(reinterpret_cast<std::uint64_t*>(&shared->operations) - base);
  const auto end = std::chrono::steady_clock::now() + 2s;
  std::uint64_t writes = 0;
  while (std::chrono::steady_clock::now() < end) {
    // Half of the writes go to the lock words and to the slots' first and last words, which matter
    // most.
    const std::size_t slot = 8192 / 8 + random() % 8 * 512;
    const std::size_t places[] = {random() % words, words - 1 - random() % 16, slot + random() % 7,
                                  slot + 509 + random() % 3, slot + 8 + random() % 4};
    __atomic_store_n(base + places[random() % 5], forged(random), __ATOMIC_RELAXED);
    ++writes;
    if (writes % 64 == 0) sched_yield();
  }
  shared->stop = true;
  for (const auto& peer : peers) EXPECT_EQ(peer->wait(), exited(0));
  std::printf("%llu forged words, %llu operations of the peers\n",
              static_cast<unsigned long long>(writes),
              static_cast<unsigned long long>(shared->operations.load()));
  EXPECT_GT(shared->operations, 100u);
  EXPECT_GT(writes, 500u);
}

// Every value of a slot's kind, and owners that are no slots.
TEST(region_hostile, lock_words_and_kinds_that_name_nothing_are_dead_owners) {
  region_of<board> shared{8};
  auto* word = const_cast<std::uint64_t*>(shared->locks[0].native_handle());
  for (std::uint64_t owner = 9; owner < 0x3fff; owner += 7) {
    *word = owner;
    ASSERT_EQ(name(shared->locks[0].try_lock()), "owner_died") << owner;
    shared->locks[0].mark_consistent();
    ASSERT_EQ(name(shared->locks[0].unlock()), "released");
  }
  child_process holder{[&] {
    CHILD_EXPECT(name(shared->locks[1].lock()) == "acquired");
    ++shared->operations;
    for (;;) pause();
  }};
  await("the holder", [&] { return shared->operations == 1; });
  const std::uint32_t slot = regions::slot_of(word_of(shared->locks[1]));
  EXPECT_EQ(name(shared->locks[1].try_lock()), "busy");
  slot_at(shared.handle(), slot).kind = 0xfffffff0;
  EXPECT_EQ(name(shared->locks[1].try_lock()), "owner_died");
}

} // namespace
} // namespace deadbolt::testing
