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
    {"deadbolt_local_futex_unlock_lse", DEADBOLT_CS_EXCHANGED, false},
    {"deadbolt_local_futex_unlock_llsc", DEADBOLT_CS_EXCHANGED, false},
    {"deadbolt_local_futex_unlock_contended_lse", DEADBOLT_CS_WAKE_OP, false},
    {"deadbolt_local_futex_unlock_contended_llsc", DEADBOLT_CS_WAKE_OP, false},
    {"deadbolt_local_futex_unlock_refused_lse", DEADBOLT_CS_EXCHANGED, true},
    {"deadbolt_local_futex_unlock_refused_llsc", DEADBOLT_CS_EXCHANGED, true},
    {"deadbolt_local_pi_futex_try_unlock_lse", DEADBOLT_CS_EXCHANGED, false},
    {"deadbolt_local_pi_futex_try_unlock_llsc", DEADBOLT_CS_EXCHANGED, false},
    {"deadbolt_local_pi_futex_unlock_contended_lse", DEADBOLT_CS_UNLOCK_PI, false},
    {"deadbolt_local_pi_futex_unlock_contended_llsc", DEADBOLT_CS_UNLOCK_PI, false},
};
inline constexpr unsigned char block_filler = 0; // udf

} // namespace deadbolt::testing
#endif
