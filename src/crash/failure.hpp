// SPDX-License-Identifier: MIT
// Trouble in the harness itself, as against trouble that it finds.
#ifndef DEADBOLT_CRASH_FAILURE_HPP
#define DEADBOLT_CRASH_FAILURE_HPP

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace deadbolt::crash {

// The run cannot go on, or this kill point cannot be judged.
class failure : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

// The victim did not take the path that another one took before it.
class other_path : public failure {
public:
  other_path() : failure{"the operation took another path than in its first run"} {}
};

[[noreturn]] inline void fail_with_errno(const std::string& what) {
  throw failure{what + ": " + std::strerror(errno)};
}

} // namespace deadbolt::crash
#endif
