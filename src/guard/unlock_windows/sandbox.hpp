// SPDX-License-Identifier: MIT
// Where a libc is run that is not ours: it may be a container's, and hostile.
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_SANDBOX_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_SANDBOX_HPP

namespace deadbolt::guard {

// Gives up root for good, with every capability, if the caller has it: the process is
// nobody from then on, and no execve changes that. 0 or an errno value.
[[nodiscard]] int become_nobody() noexcept;

// For the process that will execute that libc. Files can be read from then on, not
// written, and there is no network, no other process to signal or to trace, little
// processor time, and no way back. 0 or an errno value.
[[nodiscard]] int enter_sandbox() noexcept;

} // namespace deadbolt::guard
#endif
