// SPDX-License-Identifier: MIT
// The probe's executable file, which is part of this program: there is nothing to
// install and nothing that somebody could exchange.
#ifndef DEADBOLT_GUARD_WINDOWS_LIBC_PROBE_IMAGE_HPP
#define DEADBOLT_GUARD_WINDOWS_LIBC_PROBE_IMAGE_HPP

#include <cstddef>
#include <string_view>

extern "C" {
extern const char deadbolt_libc_probe_begin[];
extern const char deadbolt_libc_probe_end[];
}

namespace deadbolt::guard {

inline std::string_view libc_probe_image() noexcept {
  return {deadbolt_libc_probe_begin,
          static_cast<std::size_t>(deadbolt_libc_probe_end - deadbolt_libc_probe_begin)};
}

} // namespace deadbolt::guard
#endif
