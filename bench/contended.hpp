// SPDX-License-Identifier: MIT
// The contended benchmarks' parameters, for the locks of this program and of musl_rival.
#ifndef DEADBOLT_BENCH_CONTENDED_HPP
#define DEADBOLT_BENCH_CONTENDED_HPP

#include <string>

namespace bench {

struct section_length {
  const char* name;
  int steps; // of about a nanosecond each, inside the lock, and as many outside
};
inline constexpr section_length section_lengths[] = {{"short", 0}, {"long", 1000}};

inline constexpr int numbers_of_processes[] = {1, 2, 4, 8};

inline std::string contended_name(int processes, const section_length& length, const char* rival) {
  return "contended/procs:" + std::to_string(processes) + "/section:" + length.name + "/" + rival;
}

} // namespace bench
#endif
