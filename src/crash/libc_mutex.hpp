// SPDX-License-Identifier: MIT
// The libc's robust mutexes as subjects: the negative control as they are, and what
// libdeadbolt-pthread.so makes of them.
#ifndef DEADBOLT_CRASH_LIBC_MUTEX_HPP
#define DEADBOLT_CRASH_LIBC_MUTEX_HPP

#include "crash/subject.hpp"

#include <span>

namespace deadbolt::crash {

// In the order of the table.
[[nodiscard]] std::span<const subject* const> libc_subjects();

} // namespace deadbolt::crash
#endif
