// SPDX-License-Identifier: MIT
// The ways in which a process of a storm ends. Each way has a wait status of its own, by which the
// driver recognises it.
#ifndef DEADBOLT_TESTS_STORM_ENDING_HPP
#define DEADBOLT_TESTS_STORM_ENDING_HPP

#include "storm.hpp"

#include <string>
#include <sys/types.h>

namespace deadbolt::storm::detail {

// Exit statuses. 0 is the status of the program that a worker becomes by execve.
inline constexpr int exec_status = 0;
inline constexpr int group_exit_status = 41; // it was told to end itself
inline constexpr int no_exec_status = 42;    // it was told to call execve, which failed
inline constexpr int calm_status = 43;       // it was told to stop, or found a violation

// Whether this wait status is what a strike of that kind makes.
[[nodiscard]] bool is_from(way how, int wait_status) noexcept;
[[nodiscard]] bool is_from_calm(int wait_status) noexcept;

// "was killed by signal 6 (Aborted)"
[[nodiscard]] std::string text_of(int wait_status);

// Whether that child has ended. Does not reap it.
[[nodiscard]] bool has_ended(pid_t child) noexcept;

} // namespace deadbolt::storm::detail
#endif
