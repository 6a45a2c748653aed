// SPDX-License-Identifier: MIT
// Waiting until no thread of this process is inside an unlock.
//
// Unlock lets go of the lock word before it clears the thread's list_op_pending.
// Whoever takes the lock next may destroy it at once, and reuse or unmap its
// memory while that clear is still to come; the kernel would then read, and
// perhaps write, what is there now if the thread died. Between processes that is
// for the kernel or a guard to prevent. Within one process these functions do,
// at no cost to lock and unlock.
#ifndef DEADBOLT_QUIESCENCE_HPP
#define DEADBOLT_QUIESCENCE_HPP

#include <deadbolt/detail/abi.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sys/types.h>

namespace deadbolt::inline DEADBOLT_ABI {

enum class quiescence_status : std::uint32_t {
  quiescent,   // no other thread has an operation pending on the memory
  timed_out,   // some still have: see in_flight
  unavailable, // the threads could not be looked at: see error
};

struct [[nodiscard]] quiescence_result {
  static constexpr std::size_t max_reported = 8;

  quiescence_status status;
  int error;                     // an errno value, 0 unless unavailable: see below
  std::uint32_t in_flight_count; // threads still at it when the time was over
  pid_t in_flight[max_reported]; // the first of them, by TID
};

inline constexpr std::chrono::nanoseconds default_quiescence_timeout = std::chrono::seconds{1};

// Waits until no thread of this process but the caller has a lock operation
// pending in [address, address + length): a lock of any kind that lives on the
// thread's robust list, pthread ones too. The caller sees to it that no new
// operation starts there.
//
// Unavailable without /proc (the error is open's), when /proc is another PID
// namespace's (ESRCH), when a sandbox refuses get_robust_list or process_vm_readv
// (what that gave), and when threads came and went so fast all the time that they
// could not all be seen (EAGAIN).
[[gnu::visibility("default")]] quiescence_result
wait_for_unlocks(const void* address, std::size_t length,
                 std::chrono::nanoseconds timeout = default_quiescence_timeout) noexcept;

// wait_for_unlocks(), then munmap(), whose errno makes it unavailable. Nothing is
// unmapped unless quiescent.
[[gnu::visibility("default")]] quiescence_result
unmap(void* address, std::size_t length,
      std::chrono::nanoseconds timeout = default_quiescence_timeout) noexcept;

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
