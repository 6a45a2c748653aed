// SPDX-License-Identifier: MIT
// increments LOCK: two threads increment what LOCK (robust, pi or none) guards.
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>

namespace {

constexpr int rounds = 10'000;

struct no_lock {
  void lock() {}
  void unlock() {}
};

template <class Lock>
int increment_with(Lock& lock) {
  long count = 0;
  const auto work = [&] {
    for (int i = 0; i < rounds; ++i) {
      const std::scoped_lock hold{lock};
      ++count;
    }
  };
  std::thread other{work};
  work();
  other.join();
  std::printf("%ld\n", count);
  return count == 2 * rounds ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  const char* kind = argc == 2 ? argv[1] : "";
  static deadbolt::robust_mutex robust;
  static deadbolt::robust_pi_mutex pi;
  no_lock none;
  if (std::strcmp(kind, "robust") == 0) return increment_with(robust);
  if (std::strcmp(kind, "pi") == 0) return increment_with(pi);
  if (std::strcmp(kind, "none") == 0) return increment_with(none);
  return 2;
}
