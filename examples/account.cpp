// SPDX-License-Identifier: MIT
// The README's example.
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/undo_log.hpp>
#include <deadbolt/with_recovery.hpp>
#include <mutex>

struct bank {
  deadbolt::mutex mutex;
  long checking = 1000, savings = 0;
  deadbolt::undo_log<64> log; // the old values of what a critical section changes
};

int main() {
  auto region = deadbolt::region::open_or_create("/dev/shm/bank", {.size = 4096});
  if (!region) return 1;
  auto* shared = region.find_or_construct<bank>("bank"); // the same one in every process
  if (shared == nullptr) return 1;
  // Called with the lock held when the last owner died; returns whether the data is whole again.
  deadbolt::with_recovery lock{shared->mutex, [&] { return shared->log.roll_back(); }};
  std::scoped_lock hold{lock};
  deadbolt::transaction transfer{shared->log};
  transfer.edit(shared->checking) -= 100; // saves the old value first
  transfer.edit(shared->savings) += 100;
  transfer.commit();
}
