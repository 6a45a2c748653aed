// SPDX-License-Identifier: MIT
// The shared memory of one kill point.
#ifndef DEADBOLT_CRASH_TRIAL_MEMORY_HPP
#define DEADBOLT_CRASH_TRIAL_MEMORY_HPP

#include "crash/subject.hpp"

#include <cstddef>
#include <sys/types.h>

namespace deadbolt::crash {

// Whole pages that hold nothing but one TID, over and over: data that looks to the
// kernel like a lock word of that thread.
void fill_with_tid(void* memory, std::size_t length, pid_t tid) noexcept;

// The lock under attack on pages of its own, and a few more locks of the same kind,
// each on its own. In memory of the subject's choice, shared with every process forked after it.
class trial_memory {
public:
  static constexpr std::size_t companions = 2;

  explicit trial_memory(const subject& subject);
  trial_memory(const trial_memory&) = delete;
  trial_memory& operator=(const trial_memory&) = delete;
  ~trial_memory();

  [[nodiscard]] void* lock() const noexcept { return at(0); }
  [[nodiscard]] std::size_t lock_length() const noexcept { return stride_; }
  // Locks that the victim holds too, taken before and after the one under attack,
  // so that it stands in the middle of the robust list.
  [[nodiscard]] void* companion(std::size_t index) const noexcept { return at(1 + index); }
  // For subject::enter_thread(), one a stepped thread.
  [[nodiscard]] void* scratch() const noexcept { return at(1 + companions); }

private:
  [[nodiscard]] void* at(std::size_t index) const noexcept {
    return static_cast<std::byte*>(base_) + index * stride_;
  }

  const subject& subject_;
  std::size_t stride_;
  void* base_;
};

} // namespace deadbolt::crash
#endif
