// SPDX-License-Identifier: MIT
// What protects this process's robust_mutex and robust_pi_mutex when it is killed. The locks in a
// region need no protection.
#ifndef DEADBOLT_PROTECTION_HPP
#define DEADBOLT_PROTECTION_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/needs_robust_locks.h>

#include <cstdint>

namespace deadbolt::inline DEADBOLT_ABI {

enum class protection_kind : std::uint32_t {
  none,   // if a thread dies after it has released a robust lock and before it has cleared
          // list_op_pending, the kernel may write into reused memory, unless the BPF guard
          // (`deadbolt guard`) prevents it, which protection() does not see
  guard,  // a ptrace guard (`deadbolt run`) watches the calling thread now
  kernel, // the kernel recognises the unlock code
};

// Looked up at each call: a guard may come and go.
[[nodiscard, gnu::visibility("default")]] protection_kind protection() noexcept;
[[nodiscard, gnu::visibility("default")]] const char*
to_string(protection_kind protection) noexcept;

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
