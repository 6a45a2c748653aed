// SPDX-License-Identifier: MIT
// Children that cannot outlive their maker, and what they are doing.
#ifndef DEADBOLT_CRASH_PROCESS_HPP
#define DEADBOLT_CRASH_PROCESS_HPP

#include <chrono>
#include <functional>
#include <sys/types.h>

namespace deadbolt::crash {

// fork(); the child dies when the calling thread does, runs `body` and exits.
[[nodiscard]] pid_t fork_bound(const std::function<void()>& body);

// Kills and reaps a child of the caller; nothing when it is gone already.
void kill_and_reap(pid_t child) noexcept;

// The thread sleeps inside the kernel's futex code: it has been queued and has left
// the processor.
[[nodiscard]] bool sleeps_in_futex(pid_t tid) noexcept;

// How long the process has been ready to run without a processor, in all. 0 where the kernel
// does not count that.
[[nodiscard]] std::chrono::nanoseconds waited_for_processor(pid_t pid) noexcept;

// Looks until `done()` says so: true; or until the time is over: false.
[[nodiscard]] bool poll_until(const std::function<bool()>& done,
                              std::chrono::milliseconds patience);

// Long enough for anything that is not stuck, on a machine that does other things
// as well.
inline constexpr std::chrono::milliseconds ample_time{10'000};

} // namespace deadbolt::crash
#endif
