// SPDX-License-Identifier: MIT
// The instructions of one run of an operation, in shared memory.
#ifndef DEADBOLT_CRASH_PATH_HPP
#define DEADBOLT_CRASH_PATH_HPP

#include <cstddef>
#include <cstdint>
#include <span>

namespace deadbolt::crash {

// Recorded by the process that steps the operation to its end; read by those that
// come after it, which need not step what they can run through.
class path {
public:
  void add(std::uint64_t instruction) noexcept {
    if (size_ < capacity) instructions_[size_++] = instruction;
  }
  // The first instruction of the operation is at 0. Longer operations are cut.
  [[nodiscard]] std::span<const std::uint64_t> instructions() const noexcept {
    return {instructions_, size_};
  }

private:
  static constexpr std::size_t capacity = 16'383;

  std::size_t size_;
  std::uint64_t instructions_[capacity];
};

// The last place, at `index` or before it, where the path is for the first time: the
// one that a breakpoint finds without counting.
[[nodiscard]] std::size_t last_new_place(std::span<const std::uint64_t> instructions,
                                         std::size_t index) noexcept;

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
