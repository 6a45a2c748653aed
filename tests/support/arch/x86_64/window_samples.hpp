// SPDX-License-Identifier: MIT
// Proofs of a libc's windows, and what is none.
#ifndef DEADBOLT_TESTS_ARCH_WINDOW_SAMPLES_HPP
#define DEADBOLT_TESTS_ARCH_WINDOW_SAMPLES_HPP

#include <cstdint>
#include <guard/repair_rule.h>

namespace deadbolt::testing {

inline constexpr std::uint32_t sample_kind = DEADBOLT_CS_ZF;
inline constexpr const char* sample_name = "zf";
inline constexpr const char* no_proofs[] = {"ZF", "x0", "never"};

// The registers prove a release by every proof.
inline constexpr deadbolt_thread_state convincing_state{
    .ip = 0x1000, .rax = 0, .flags = DEADBOLT_FLAGS_ZF, .cs = DEADBOLT_USER_CS_64};

} // namespace deadbolt::testing
#endif
