// SPDX-License-Identifier: MIT
#include "crash/path.hpp"

#include "crash/failure.hpp"

#include <algorithm>
#include <sys/mman.h>
#include <unordered_map>

namespace deadbolt::crash {

stopover find_stopover(std::span<const std::uint64_t> instructions, std::size_t goal) {
  // To pass a breakpoint takes as long as some steps: it is taken out and set again.
  constexpr std::size_t steps_a_pass = 3;
  std::unordered_map<std::uint64_t, std::uint32_t> passes;
  stopover best;
  std::size_t best_cost = goal;
  for (std::size_t i = 0; i <= goal; ++i) {
    const std::uint32_t before = passes[instructions[i]]++;
    const std::size_t cost = before * steps_a_pass + (goal - i);
    if (cost > best_cost) continue;
    best = {.index = i, .passes = before};
    best_cost = cost;
  }
  return best;
}

path_store::path_store(std::size_t count)
    : length_{std::max<std::size_t>(count, 1) * sizeof(path)} {
  // Zeroes are empty paths, and pages that are never written take no memory.
  void* const memory =
      mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail_with_errno("mmap of the paths");
  paths_ = static_cast<path*>(memory);
}

path_store::~path_store() {
  munmap(paths_, length_);
}

} // namespace deadbolt::crash
