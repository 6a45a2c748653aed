// SPDX-License-Identifier: MIT
// Which thread owns a lock in a region.
#ifndef DEADBOLT_LOCK_OWNER_HPP
#define DEADBOLT_LOCK_OWNER_HPP

#include <deadbolt/detail/abi.hpp>

#include <cstdint>
#include <sys/types.h>

namespace deadbolt::inline DEADBOLT_ABI {

enum class owner_state : std::uint32_t {
  not_held,
  alive,     // pid and tid are the owner's
  elsewhere, // alive, in a PID namespace that is not known to be the caller's: its PID here is not
             // known
  dead,      // or detached with the lock held: the next owner will be told owner_died, unless the
             // thread still waited for the readers of a shared_mutex
  not_recoverable,
  unknown, // the lock is in no region that this process has open
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(owner_state state) noexcept;

// As it was at one instant during the call; the lock may have passed on since. A thread that is
// alive and has not detached is never reported dead. A thread that has died may be reported alive
// for as long as waiters do not notice its death either (<deadbolt/mutex.hpp>).
struct lock_owner {
  owner_state state;
  pid_t pid; // 0 unless the state is alive
  pid_t tid;
};

namespace detail {
// `word` is a lock's, in a region.
[[nodiscard, gnu::visibility("default")]] lock_owner owner_of(const std::uint64_t* word) noexcept;
} // namespace detail

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
