// SPDX-License-Identifier: MIT
#include "crash/bpf_guard.hpp"

#include "guard/bpf/pins.hpp"

namespace deadbolt::crash {

std::string bpf_guard::unavailable() const {
  const guard::bpf_look look = guard::look_at_bpf_guard();
  if (look.counts) return {};
  return look.error + "; as root start: deadbolt guard";
}

} // namespace deadbolt::crash
