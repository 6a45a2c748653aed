// SPDX-License-Identifier: MIT
// Lock results by name in GoogleTest's messages.
#ifndef DEADBOLT_TESTS_PRINT_RESULTS_HPP
#define DEADBOLT_TESTS_PRINT_RESULTS_HPP

#include <deadbolt/lock_result.hpp>

#include <ostream>

// GoogleTest looks for a function PrintTo in this namespace. Printing a result must not count as
// examining it.
// NOLINTBEGIN(readability-identifier-naming)
namespace deadbolt {

inline void PrintTo(lock_status status, std::ostream* out) {
  *out << to_string(status);
}
inline void PrintTo(unlock_status status, std::ostream* out) {
  *out << to_string(status);
}
inline void PrintTo(const lock_result& result, std::ostream* out) {
  *out << (result ? "a result that holds the lock" : "a result that does not hold the lock");
}

} // namespace deadbolt
// NOLINTEND(readability-identifier-naming)
#endif
