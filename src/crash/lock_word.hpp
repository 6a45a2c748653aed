// SPDX-License-Identifier: MIT
#ifndef DEADBOLT_CRASH_LOCK_WORD_HPP
#define DEADBOLT_CRASH_LOCK_WORD_HPP

#include <cstdint>
#include <linux/futex.h>
#include <sys/types.h>

namespace deadbolt::crash {

// Whether the robust futex at `word` holds the TID of `tid`, a thread that is stopped.
[[nodiscard]] inline bool word_names(const void* word, pid_t tid) noexcept {
  // order: none needed, the only other writers are stopped or waiting for this look.
  const std::uint32_t value =
      __atomic_load_n(static_cast<const std::uint32_t*>(word), __ATOMIC_RELAXED);
  return (value & FUTEX_TID_MASK) == static_cast<std::uint32_t>(tid);
}

} // namespace deadbolt::crash
#endif
