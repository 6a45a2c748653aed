// SPDX-License-Identifier: MIT
// For architectures on which a libc's unlock is not stepped.
#include "guard/unlock_windows/measure.hpp"

namespace deadbolt::guard {

std::optional<measurement> measure_windows(const std::string& path, std::string& error) {
  error = path + ": a libc's unlock windows can be measured on x86-64 only; on this architecture "
                 "the guards protect this library's own locks";
  return std::nullopt;
}

} // namespace deadbolt::guard
