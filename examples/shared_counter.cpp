// SPDX-License-Identifier: MIT
// A counter that any number of processes share, and that survives kill -9 of any of
// them: run it several times at once, kill some, and run it again.
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/thread_safety.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

struct counter {
  deadbolt::mutex lock;
  std::uint64_t value = 0;
  std::uint64_t twice = 0; // 2 * value, except in the middle of a step
};

// Called after an owner's death, perhaps between its stores to `value` and to `twice`. The step
// counts if the owner had stored `value`; this function makes `twice` fit.
void repair(counter& shared) {
  std::printf("an owner died at %llu\n", static_cast<unsigned long long>(shared.value));
  shared.twice = 2 * shared.value;
  shared.lock.mark_consistent();
}

} // namespace

int main(int count, char** arguments) {
  const char* path = count > 1 ? arguments[1] : "/dev/shm/deadbolt-counter";
  const unsigned long steps = count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 1'000'000;
  deadbolt::region region = deadbolt::region::open_or_create(path, {.size = 4096});
  if (!region) {
    std::fprintf(stderr, "%s: %s (errno %d)\n", path, to_string(region.status()), region.error());
    return 1;
  }
  auto* shared = region.find_or_construct<counter>("counter");
  if (shared == nullptr) return 1;
  for (unsigned long step = 0; step < steps; ++step) {
    switch (shared->lock.lock().status()) {
    case deadbolt::lock_status::owner_died:
      repair(*shared);
      break;
    case deadbolt::lock_status::acquired:
      break;
    default:
      deadbolt::assume_not_held(shared->lock);
      return 1;
    }
    const bool whole = shared->twice == 2 * shared->value;
    ++shared->value;
    shared->twice += 2;
    if (step + 1 == steps) {
      std::printf("counter: %llu\n", static_cast<unsigned long long>(shared->value));
    }
    static_cast<void>(shared->lock.unlock());
    if (!whole) return 2; // exclusion or repair has failed
  }
  return 0;
}
