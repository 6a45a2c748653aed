// SPDX-License-Identifier: MIT
// Proofs of a libc's windows, and what is none.
#ifndef DEADBOLT_TESTS_ARCH_WINDOW_SAMPLES_HPP
#define DEADBOLT_TESTS_ARCH_WINDOW_SAMPLES_HPP

#include <cstdint>
#include <guard/repair_rule.h>

namespace deadbolt::testing {

inline constexpr std::uint32_t sample_kind =
    DEADBOLT_WINDOW_EXCHANGE | 1 << 8 | 17 << 16 | std::uint32_t{DEADBOLT_NO_REGISTER} << 24;
inline constexpr const char* sample_name = "x1=word,w17=0";
inline constexpr const char* no_proofs[] = {"zf",
                                            "x31=word",
                                            "x01=word",
                                            "x1=word,",
                                            ",x1=word",
                                            "w17=0",
                                            "x1=word,x17=0",
                                            "w1=word",
                                            "w0=tid,x1=word",
                                            "x1=word,x2=word",
                                            "x1",
                                            "x1=",
                                            "x=word",
                                            "x1=words",
                                            "x1=word,w17=1",
                                            "x111=word",
                                            "x1=word,w0=TID",
                                            "x1=word w17=0",
                                            "x1=word,w17=0,0",
                                            "x1==word"};

// The registers prove a release by every proof of a system call.
inline constexpr deadbolt_thread_state convincing_state{.ip = 0x1000, .pstate = 0, .x = {}};

} // namespace deadbolt::testing
#endif
