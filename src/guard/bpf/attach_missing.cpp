// SPDX-License-Identifier: MIT
// In place of attach.cpp where the BPF program could not be built.
#include "guard/bpf/attach.hpp"

namespace deadbolt::guard {

bool has_bpf_guard() noexcept {
  return false;
}

attach_result attach_bpf_guard(const window_set& /*libcs*/) {
  return {.error = "this deadbolt was built without the BPF guard: install clang, bpftool and "
                   "libbpf-dev, and build it again",
          .kernel_refused = false};
}

} // namespace deadbolt::guard
