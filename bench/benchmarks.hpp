// SPDX-License-Identifier: MIT
// The groups of benchmarks. A benchmark is called GROUP/RIVAL.
#ifndef DEADBOLT_BENCH_BENCHMARKS_HPP
#define DEADBOLT_BENCH_BENCHMARKS_HPP

namespace bench {

inline constexpr const char* uncontended_group = "uncontended";

// A counter: the time's ratio to that of the group's reference, where a benchmark measures
// both by turns. Says more than a ratio of two medians.
inline constexpr const char* paired_ratio = "paired_ratio";

void register_uncontended();
void register_contended();
void register_musl();
void register_semaphores();
void register_readers_writers();
void register_takeover();
void register_ping_pong();
void register_membership();

} // namespace bench
#endif
