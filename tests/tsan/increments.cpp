// SPDX-License-Identifier: MIT
// increments KIND: two threads change what a lock of that kind guards, with a library that
// the sanitizer did not instrument, as an installed one.
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>
#include <deadbolt/shared_mutex.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <thread>

namespace {

constexpr int rounds = 10'000;
constexpr std::chrono::seconds soon{10};

void want(bool truth) {
  if (!truth) std::abort();
}

struct no_lock {
  void lock() {}
  void unlock() {}
};

struct timed_mutex {
  deadbolt::mutex& in;
  void lock() { want(in.try_lock_for(soon)); }
  void unlock() { in.unlock(); }
};

struct semaphore {
  deadbolt::counting_semaphore<2>& in;
  void lock() { want(in.acquire()); }
  void unlock() { in.release(); }
};

// What readers write is a race.
struct reading {
  deadbolt::shared_mutex& in;
  void lock() { want(in.lock_shared()); }
  void unlock() { in.unlock_shared(); }
};

template <class Work>
void by_two(const Work& work) {
  std::thread other{work};
  work();
  other.join();
}

template <class Lock>
int increment_with(Lock&& lock) {
  long count = 0;
  by_two([&] {
    for (int i = 0; i < rounds; ++i) {
      const std::scoped_lock hold{lock};
      ++count;
    }
  });
  std::printf("%ld\n", count);
  return count == 2L * rounds ? 0 : 1;
}

// A writer and readers in turn: the readers' reads are before its next write.
int read_and_write(deadbolt::shared_mutex& lock) {
  long count = 0;
  by_two([&] {
    for (int i = 0; i < rounds; ++i) {
      {
        const std::scoped_lock hold{lock};
        ++count;
      }
      want(lock.try_lock_shared_for(soon));
      want(count > i);
      lock.unlock_shared();
    }
  });
  return count == 2L * rounds ? 0 : 1;
}

// Each waits for its turn.
int take_turns(deadbolt::mutex& lock, deadbolt::condition_variable& changed) {
  long count = 0;
  const auto work = [&](long mine) {
    for (int i = 0; i < rounds / 100; ++i) {
      std::unique_lock hold{lock};
      want(changed.wait(hold, [&] { return count % 2 == mine; }));
      ++count;
      changed.notify_one();
    }
  };
  std::thread other{work, 1};
  work(0);
  other.join();
  return count == 2L * (rounds / 100) ? 0 : 1;
}

struct board {
  deadbolt::mutex lock;
  long written = 0;
  explicit board(long with) : written{with} {}
};

// The thread that comes first constructs the object.
int construct_in(deadbolt::region& region) {
  by_two([&] {
    auto* const shared = region.find_or_construct<board>("board", 42L);
    want(shared != nullptr && shared->written == 42);
  });
  return 0;
}

int run(std::string_view kind) {
  static deadbolt::robust_mutex robust;
  static deadbolt::robust_pi_mutex pi;
  if (kind == "robust") return increment_with(robust);
  if (kind == "pi") return increment_with(pi);
  if (kind == "none") return increment_with(no_lock{});

  struct objects {
    deadbolt::mutex lock;
    deadbolt::shared_mutex shared;
    deadbolt::condition_variable changed;
    deadbolt::counting_semaphore<2> permits{1};
  };
  auto region = deadbolt::region::create_anonymous("increments", {.size = 4096, .members = 8});
  auto* const in = region.find_or_construct<objects>("objects");
  if (in == nullptr) return 1;
  if (kind == "mutex") return increment_with(in->lock);
  if (kind == "timed_mutex") return increment_with(timed_mutex{in->lock});
  if (kind == "shared_mutex") return read_and_write(in->shared);
  if (kind == "semaphore") return increment_with(semaphore{in->permits});
  if (kind == "condition_variable") return take_turns(in->lock, in->changed);
  if (kind == "construct") return construct_in(region);
  if (kind == "readers") return increment_with(reading{in->shared});
  return 2;
}

} // namespace

int main(int argc, char** argv) {
  return run(argc == 2 ? argv[1] : "");
}
