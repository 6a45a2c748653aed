// SPDX-License-Identifier: MIT
// Apart from file.cpp: the preload library links that, and has to load where fstat() is not a
// symbol of the libc yet (glibc before 2.33).
#include <base/file.hpp>

#include <sys/stat.h>

namespace deadbolt::base {

bool names(int descriptor, const file_identity& identity) noexcept {
  struct stat status;
  return descriptor >= 0 && fstat(descriptor, &status) == 0 &&
         static_cast<std::uint64_t>(status.st_dev) == identity.device &&
         static_cast<std::uint64_t>(status.st_ino) == identity.inode;
}

} // namespace deadbolt::base
