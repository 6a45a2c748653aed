// SPDX-License-Identifier: MIT
// Loads the BPF guard into the kernel.
#ifndef DEADBOLT_GUARD_BPF_ATTACH_HPP
#define DEADBOLT_GUARD_BPF_ATTACH_HPP

#include "guard/unlock_windows/table.hpp"

#include <string>

namespace deadbolt::guard {

struct attach_result {
  std::string error; // empty: it is attached
  // The kernel refused to load or to attach the program; no other step failed.
  bool kernel_refused = false;
};

// Loads the program, gives it the windows, attaches it and pins it in bpf_directory:
// from then on it stays until detach_bpf_guard(), also when the caller dies. A guard that is
// attached already is replaced without a gap.
[[nodiscard]] attach_result attach_bpf_guard(const window_set& libcs);

// Whether this program was built with the BPF guard.
[[nodiscard]] bool has_bpf_guard() noexcept;

} // namespace deadbolt::guard
#endif
