// SPDX-License-Identifier: MIT
// The unlock blocks that the library has here.
#ifndef DEADBOLT_TESTS_ARCH_UNLOCK_BLOCKS_HPP
#define DEADBOLT_TESTS_ARCH_UNLOCK_BLOCKS_HPP

#include <cstdint>
#include <deadbolt/critical_section.h>

namespace deadbolt::testing {

struct expected_block {
  const char* name;
  std::uint8_t kind;
  bool owes_a_wake;
};

inline constexpr expected_block expected_blocks[] = {
    {"deadbolt_local_futex_unlock", DEADBOLT_CS_ZF, false},
    {"deadbolt_local_futex_unlock_contended", DEADBOLT_CS_WAKE_OP, false},
    {"deadbolt_local_futex_unlock_refused", DEADBOLT_CS_ALWAYS, true},
    {"deadbolt_local_pi_futex_try_unlock", DEADBOLT_CS_ZF, false},
    {"deadbolt_local_pi_futex_unlock_contended", DEADBOLT_CS_UNLOCK_PI, false},
};
inline constexpr unsigned char block_filler = 0xcc; // int3

} // namespace deadbolt::testing
#endif
