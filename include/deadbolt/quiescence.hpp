// SPDX-License-Identifier: MIT
// Waiting until no thread of this process is inside an unlock.
//
// Unlock releases the lock word before it clears the thread's list_op_pending. In between,
// the next owner may destroy the lock and reuse or unmap its memory. If the thread dies
// there, the kernel reads, and perhaps writes, whatever is in that memory now. Between
// processes only the kernel or a guard can prevent that. Within one process these functions
// prevent it, at no cost to lock and unlock.
#ifndef DEADBOLT_QUIESCENCE_HPP
#define DEADBOLT_QUIESCENCE_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/needs_robust_locks.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sys/types.h>

namespace deadbolt::inline DEADBOLT_ABI {

enum class quiescence_status : std::uint32_t {
  quiescent,   // no other thread has an operation pending on the memory
  timed_out,   // some still have: see in_flight
  unavailable, // the threads could not be examined: see error
};

struct [[nodiscard]] quiescence_result {
  static constexpr std::size_t max_reported = 8;

  quiescence_status status;
  int error;                     // an errno value, 0 unless unavailable: see below
  std::uint32_t in_flight_count; // threads that still had an operation pending at the end
  pid_t in_flight[max_reported]; // the TIDs of up to 8 of them
};

inline constexpr std::chrono::nanoseconds default_quiescence_timeout = std::chrono::seconds{1};

// Waits until no thread of this process but the caller has a lock operation
// pending in [address, address + length): an operation on a lock of any kind that is on a
// thread's robust list, pthread's too. The caller must make sure that no new operation
// starts there.
//
// Unavailable without /proc (`error` is open's), when /proc belongs to another PID
// namespace (ESRCH), when a sandbox refuses get_robust_list or process_vm_readv (their
// error), and when threads started and ended so fast that no look saw all of them (EAGAIN).
[[gnu::visibility("default")]] quiescence_result
wait_for_unlocks(const void* address, std::size_t length,
                 std::chrono::nanoseconds timeout = default_quiescence_timeout) noexcept;

// wait_for_unlocks(), then munmap() if the memory is quiescent. If munmap() fails, the status
// is unavailable and `error` is its errno.
[[gnu::visibility("default")]] quiescence_result
unmap(void* address, std::size_t length,
      std::chrono::nanoseconds timeout = default_quiescence_timeout) noexcept;

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
