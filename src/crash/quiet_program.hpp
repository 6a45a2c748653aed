// SPDX-License-Identifier: MIT
// The program that a victim becomes by execve.
#ifndef DEADBOLT_CRASH_QUIET_PROGRAM_HPP
#define DEADBOLT_CRASH_QUIET_PROGRAM_HPP

#include "base/descriptor.hpp"

namespace deadbolt::crash {

// A descriptor of a program that ends at once with status 0. It needs no file system and no libc,
// and touches no memory.
[[nodiscard]] base::descriptor open_quiet_program();
// execve of it; async-signal-safe. Ends the process if that fails.
[[noreturn]] void execute_quiet_program(int descriptor) noexcept;

} // namespace deadbolt::crash
#endif
