// SPDX-License-Identifier: MIT
// The descriptors that a child process has of its parent.
#ifndef DEADBOLT_TRACE_INHERITED_DESCRIPTORS_HPP
#define DEADBOLT_TRACE_INHERITED_DESCRIPTORS_HPP

namespace deadbolt::trace {

// Closes each descriptor from `first` on, except `kept`. False if some may be left: the kernel has
// no close_range (before Linux 5.9), and /proc is not mounted.
[[nodiscard]] bool close_descriptors_from(int first, int kept) noexcept;

// Lets execve close each descriptor from `first` on. False as above; the flag that this needs came
// with Linux 5.11.
[[nodiscard]] bool close_on_execve_from(int first) noexcept;

} // namespace deadbolt::trace
#endif
