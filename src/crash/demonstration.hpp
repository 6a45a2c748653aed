// SPDX-License-Identifier: MIT
// One kill point, shown in bytes: a file before and after the death of a process that was inside
// unlock.
#ifndef DEADBOLT_CRASH_DEMONSTRATION_HPP
#define DEADBOLT_CRASH_DEMONSTRATION_HPP

#include "crash/subject.hpp"

#include <array>
#include <string>

namespace deadbolt::crash {

using shown_bytes = std::array<unsigned char, 16>;

struct demonstration {
  std::string title;
  std::string place;  // the instruction before which the process was killed
  shown_bytes before; // the beginning of the file, read from the file
  shown_bytes after;

  [[nodiscard]] bool is_intact() const noexcept { return before == after; }
};

// A process takes a lock and unlocks it. It is stopped at the first instruction at which the lock
// is free (with glibc's, list_op_pending is still set then). Another thread of the process, which
// needs the lock no longer, maps a file over its memory: a record whose first number equals the
// thread's TID. Then the process is killed. No guard watches.
[[nodiscard]] demonstration demonstrate(std::string title, const subject& target);

} // namespace deadbolt::crash
#endif
