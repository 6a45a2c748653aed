// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_TESTS_REAL_PROGRAMS_KILLS_HPP
#define DEADBOLT_TESTS_REAL_PROGRAMS_KILLS_HPP

#include <cstdint>
#include <string>
#include <string_view>

namespace real_programs {

struct kills_result {
  std::string trouble; // empty: all is well
  unsigned kills = 0;
  std::uint64_t changes = 0; // made by all workers together
};

// Processes change a database of that kind all the time; one after the other is killed at a
// random moment and replaced. After each kill some process must complete a change within 20 s; the
// database is checked every 50 kills and in the end.
[[nodiscard]] kills_result kill_workers(std::string_view kind, unsigned kills, std::uint64_t seed);

} // namespace real_programs
#endif
