// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_BASE_FILE_IDENTITY_HPP
#define DEADBOLT_BASE_FILE_IDENTITY_HPP

#include <cstdint>

namespace deadbolt::base {

// A file on this machine, whatever its name.
struct file_identity {
  std::uint64_t device;
  std::uint64_t inode;

  bool operator==(const file_identity&) const noexcept = default;
};

} // namespace deadbolt::base
#endif
