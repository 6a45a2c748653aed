// SPDX-License-Identifier: MIT
// What threads of one process share about their regions, and what fork does to it.
#ifndef DEADBOLT_REGION_PROCESS_HPP
#define DEADBOLT_REGION_PROCESS_HPP

#include <cstdint>

namespace deadbolt::regions {

struct attachment;

// Lives in a page that the kernel zeroes in a child (MADV_WIPEONFORK), raw clone
// included: the child finds the lock free and no attachments.
struct process_state {
  std::uint32_t lock; // 0 free, 1 held, 2 held with waiters; private to the process
  // Every thread that is first to use a region stores these two, all the same values,
  // and needs no lock for it; so read them with the functions below.
  std::uint32_t pid;
  std::uint64_t pid_namespace; // 0: not known
  attachment* attachments;     // of all threads, the dead ones' until they are reaped

  [[nodiscard]] std::uint32_t own_pid() const noexcept {
    return __atomic_load_n(&pid, __ATOMIC_RELAXED);
  }
  [[nodiscard]] std::uint64_t own_pid_namespace() const noexcept {
    return __atomic_load_n(&pid_namespace, __ATOMIC_RELAXED);
  }
};

// The state, made at first use; nullptr when there is no memory for it or
// the kernel lacks MADV_WIPEONFORK.
process_state* this_process() noexcept;

// Holds the process lock. Signals must be blocked.
class process_locked {
public:
  explicit process_locked(process_state& state) noexcept;
  process_locked(const process_locked&) = delete;
  process_locked& operator=(const process_locked&) = delete;
  ~process_locked();

private:
  process_state& state_;
};

// Has detach_at_exit() called when the calling thread exits.
bool watch_thread_exit() noexcept;

} // namespace deadbolt::regions
#endif
