// SPDX-License-Identifier: MIT
#include "crash/path.hpp"

#include "crash/failure.hpp"

#include <algorithm>
#include <sys/mman.h>

namespace deadbolt::crash {

std::size_t last_new_place(std::span<const std::uint64_t> instructions,
                           std::size_t index) noexcept {
  const auto is_new = [&](std::size_t at) {
    const auto before = instructions.first(at);
    return std::find(before.begin(), before.end(), instructions[at]) == before.end();
  };
  std::size_t at = index;
  while (at > 0 && !is_new(at)) --at;
  return at;
}

path_store::path_store(std::size_t count)
    : length_{std::max<std::size_t>(count, 1) * sizeof(path)} {
  // Zeroes are empty paths, and pages that nobody writes cost nothing.
  void* const memory =
      mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail_with_errno("mmap of the paths");
  paths_ = static_cast<path*>(memory);
}

path_store::~path_store() {
  munmap(paths_, length_);
}

} // namespace deadbolt::crash
