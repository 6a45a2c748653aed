// SPDX-License-Identifier: MIT
// Two accounts in shared memory. Processes move money from one to the other, and some are
// killed in the middle of a transfer. No lock is lost, and no money.
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/undo_log.hpp>
#include <deadbolt/with_recovery.hpp>

#include <csignal>
#include <cstdio>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr long total = 1'000;

struct bank {
  deadbolt::robust_mutex mutex;
  long left = total;
  long right = 0;
  deadbolt::undo_log<128> log; // the old values of what transfer() changes
  int recoveries = 0;

  // Called with the mutex held when its last owner died; returns whether the accounts are whole.
  bool recover() {
    ++recoveries;
    return log.roll_back();
  }
};

// Moves one unit; if told to, is killed half-way.
void transfer(bank& shared, bool die) {
  deadbolt::with_recovery lock{shared.mutex, [&] { return shared.recover(); }};
  const std::scoped_lock hold{lock};
  deadbolt::transaction change{shared.log};
  --change.edit(shared.left);
  if (die) static_cast<void>(std::raise(SIGKILL));
  ++change.edit(shared.right);
  change.commit();
}

} // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): a lock that fails ends the example
int main() {
  constexpr int processes = 100;
  void* memory =
      ::mmap(nullptr, sizeof(bank), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto& shared = *new (memory) bank;

  for (int i = 0; i < processes; ++i) {
    const pid_t child = ::fork();
    if (child < 0) return 1;
    if (child == 0) {
      transfer(shared, i % 5 == 0);
      ::_exit(0);
    }
  }
  while (::wait(nullptr) > 0) {
  }

  deadbolt::with_recovery lock{shared.mutex, [&] { return shared.recover(); }};
  const std::scoped_lock hold{lock};
  std::printf("left %ld, right %ld, together %ld; %d owners died\n", shared.left, shared.right,
              shared.left + shared.right, shared.recoveries);
  return shared.left + shared.right == total && shared.right == 80 && shared.recoveries == 20 ? 0
                                                                                              : 1;
}
