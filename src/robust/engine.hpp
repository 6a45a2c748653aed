// SPDX-License-Identifier: MIT
// How unlocks are done in this process (see deadbolt_engine()).
#ifndef DEADBOLT_ROBUST_ENGINE_HPP
#define DEADBOLT_ROBUST_ENGINE_HPP

#include <cstdint>
#include <linux/futex.h>

namespace deadbolt::robust {

struct engine {
  const char* name;
  // Whether the kernel knows this unlock, so that nothing needs a guard.
  bool protected_by_kernel;
  // `expected` is what the word holds but for WAITERS.
  std::uint32_t (*unlock)(std::uint32_t* word, robust_list_head* head,
                          std::uint32_t expected) noexcept;
  int (*pi_try_unlock)(std::uint32_t* word, std::uint32_t* expected,
                       robust_list_head* head) noexcept;
};

// Chosen when the library is loaded, by name or as the first that is there.
[[nodiscard]] const engine& this_engine() noexcept;

// Whether the kernel offers what the engine of that name needs. Looks anew.
[[nodiscard]] bool engine_is_available(const char* name) noexcept;

// The names, best first; the last is nullptr.
inline constexpr const char* engine_names[] = {"vdso", "vdso_mainline", "syscall", "local",
                                               nullptr};

// The whole unlock of a word whose entry is in list_op_pending and off the list:
// release, the wake that is owed, the clear.
void unlock_and_wake(std::uint32_t* word, robust_list_head* head, std::uint32_t expected) noexcept;

} // namespace deadbolt::robust
#endif
