// SPDX-License-Identifier: MIT
#include "trace/inherited_descriptors.hpp"

#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace deadbolt::trace {
namespace {

constexpr unsigned last_descriptor = ~0u;
constexpr unsigned closes_on_execve = 1u << 2; // CLOSE_RANGE_CLOEXEC

bool apply(unsigned first, unsigned last, unsigned flags) noexcept {
  if (first > last || ::syscall(SYS_close_range, first, last, flags) == 0) return true;
  // One at a time, as /proc lists them. The list goes on by number, so that a descriptor that is
  // closed meanwhile hides no other.
  DIR* const all = ::opendir("/proc/self/fd");
  if (all == nullptr) return false;
  while (const dirent* const entry = ::readdir(all)) {
    char* end = nullptr;
    const unsigned long number = std::strtoul(entry->d_name, &end, 10);
    if (end == entry->d_name || number < first || number > last) continue;
    const int descriptor = static_cast<int>(number);
    if (descriptor == ::dirfd(all)) continue;
    if (flags == closes_on_execve) {
      ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    } else {
      ::close(descriptor);
    }
  }
  ::closedir(all);
  return true;
}

} // namespace

bool close_descriptors_from(int first, int kept) noexcept {
  const auto begin = static_cast<unsigned>(first);
  if (kept < first) return apply(begin, last_descriptor, 0);
  const auto hole = static_cast<unsigned>(kept);
  return (hole == begin || apply(begin, hole - 1, 0)) && apply(hole + 1, last_descriptor, 0);
}

bool close_on_execve_from(int first) noexcept {
  return apply(static_cast<unsigned>(first), last_descriptor, closes_on_execve);
}

} // namespace deadbolt::trace
