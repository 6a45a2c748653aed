// SPDX-License-Identifier: MIT
// The path that a stepped operation takes, and the way along it that takes the fewest stops.
#ifndef DEADBOLT_CRASH_PATH_HPP
#define DEADBOLT_CRASH_PATH_HPP

#include "trace/address.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace deadbolt::crash {

// The instructions that one run of an operation executed, in shared memory: recorded by the process
// that steps the operation to its end, read by the processes that run it again.
class path {
public:
  void add(trace::address instruction) noexcept {
    if (size_ < capacity) instructions_[size_++] = instruction.value();
  }
  // The operation's first instruction is at 0. Longer operations are cut.
  [[nodiscard]] std::span<const std::uint64_t> instructions() const noexcept {
    return {instructions_, size_};
  }

private:
  static constexpr std::size_t capacity = 16'383;

  std::size_t size_;
  std::uint64_t instructions_[capacity];
};

// An instruction of a path to run to, and how often the path passes its address before: a
// breakpoint there stops that often too early.
struct stopover {
  std::size_t index = 0;
  std::uint32_t passes = 0;
};
// The one from which `goal` is reached soonest: close to it, and passed seldom. In a loop that is
// an instruction of one of the first turns.
[[nodiscard]] stopover find_stopover(std::span<const std::uint64_t> instructions, std::size_t goal);

// Paths that the processes of a run share, all empty at first.
class path_store {
public:
  explicit path_store(std::size_t count);
  path_store(const path_store&) = delete;
  path_store& operator=(const path_store&) = delete;
  ~path_store();

  [[nodiscard]] path& operator[](std::size_t index) const noexcept { return paths_[index]; }

private:
  std::size_t length_;
  path* paths_;
};

} // namespace deadbolt::crash
#endif
