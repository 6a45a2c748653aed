// SPDX-License-Identifier: MIT
// An error of the harness itself, not one that it finds in a lock.
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

// The victim did not execute the instructions that another one executed before it.
class other_path : public failure {
public:
  other_path() : failure{"the operation took another path than in its first run"} {}
};

[[noreturn]] inline void fail_with_errno(const std::string& what) {
  throw failure{what + ": " + std::strerror(errno)};
}

} // namespace deadbolt::crash
#endif
