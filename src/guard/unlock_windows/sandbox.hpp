// SPDX-License-Identifier: MIT
// Where a libc runs that is not trusted: it may be a container's, and hostile.
#ifndef DEADBOLT_GUARD_UNLOCK_WINDOWS_SANDBOX_HPP
#define DEADBOLT_GUARD_UNLOCK_WINDOWS_SANDBOX_HPP

namespace deadbolt::guard {

// Gives up root, with every capability, if the caller is root: the process runs as user "nobody"
// from then on, and no execve changes that. 0 or an errno value.
[[nodiscard]] int become_nobody() noexcept;

// For the process that will execute that libc. From then on it can read files and not write them;
// it has no network, can signal and trace no other process, and gets little processor time. It
// cannot undo this. 0 or an errno value.
[[nodiscard]] int enter_sandbox() noexcept;

} // namespace deadbolt::guard
#endif
