// SPDX-License-Identifier: MIT
// What a test and its victim share.
#ifndef DEADBOLT_TESTS_GUARD_VICTIM_MEMORY_HPP
#define DEADBOLT_TESTS_GUARD_VICTIM_MEMORY_HPP

#include <atomic>
#include <cstdint>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace guard_test {

// What the victim's other thread does when `order` says so.
enum class order : std::uint32_t { none, exit_group, execve };

struct victim_memory {
  std::atomic<std::uint32_t> word;       // the lock word
  std::atomic<std::uint32_t> tid;        // of the thread that unlocks it
  std::atomic<std::uint32_t> pid;        // of its process
  std::atomic<std::uint32_t> go;         // leave the window
  std::atomic<std::uint32_t> in_handler; // the signal handler runs
  std::atomic<order> other_thread;
  std::atomic<std::uint32_t> steps; // progress of modes that count
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

inline void* map_shared(int descriptor, std::size_t bytes) {
  return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
}

inline robust_list_head* this_threads_robust_head() {
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  return ::syscall(SYS_get_robust_list, 0, &head, &size) == 0 ? head : nullptr;
}

// The entry that names a lock word, for list_op_pending.
inline robust_list* entry_of(std::atomic<std::uint32_t>& word, const robust_list_head& head) {
  return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(&word) -
                                        static_cast<std::uintptr_t>(head.futex_offset));
}

} // namespace guard_test
#endif
