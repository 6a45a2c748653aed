// SPDX-License-Identifier: MIT
// The program that a victim becomes when it calls execve.
#ifndef DEADBOLT_CRASH_QUIET_PROGRAM_HPP
#define DEADBOLT_CRASH_QUIET_PROGRAM_HPP

namespace deadbolt::crash {

// A descriptor of a program of a few instructions that ends at once with status 0:
// it needs no file system and no libc, and touches no memory.
[[nodiscard]] int open_quiet_program();

// execve of it; async-signal-safe. Ends the process if that fails.
[[noreturn]] void become_quiet_program(int descriptor) noexcept;

inline constexpr int quiet_program_status = 0;
inline constexpr int no_quiet_program_status = 71;

} // namespace deadbolt::crash
#endif
