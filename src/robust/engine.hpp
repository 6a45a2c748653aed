// SPDX-License-Identifier: MIT
// How unlocks are done in this process (see deadbolt_engine()).
#ifndef DEADBOLT_ROBUST_ENGINE_HPP
#define DEADBOLT_ROBUST_ENGINE_HPP

#include <cstdint>
#include <linux/futex.h>

namespace deadbolt::robust {

struct engine {
  const char* name;
  // Whether the kernel recognises this unlock, so that no guard is needed.
  bool protected_by_kernel;
  // Releases a word whose entry is in list_op_pending and off the list, wakes a waiter and
  // clears list_op_pending. `expected` is the word's value without WAITERS. Returns the old
  // value without WAITERS.
  std::uint32_t (*unlock)(std::uint32_t* word, robust_list_head* head,
                          std::uint32_t expected) noexcept;
  int (*pi_try_unlock)(std::uint32_t* word, std::uint32_t* expected,
                       robust_list_head* head) noexcept;
};

// Chosen when the library is loaded, by name or as the first that the kernel offers. Until
// then its name is nullptr; a lock that an earlier constructor uses chooses the engine when
// it looks up the thread's identity. So every thread that has an identity finds it chosen.
[[gnu::visibility("hidden")]] extern constinit engine chosen_engine;
void choose_engine() noexcept;
// Takes the engine of that name; nullptr or "": the first that the kernel offers. Ends the process,
// with a message, if the kernel does not offer the named engine.
void choose_engine(const char* wanted) noexcept;

[[nodiscard]] inline const engine& this_engine() noexcept {
  if (__builtin_expect(chosen_engine.name == nullptr, 0)) choose_engine();
  return chosen_engine;
}

// Whether the kernel offers what the engine of that name needs. Probes the kernel at each call.
[[nodiscard]] bool engine_is_available(const char* name) noexcept;

// The names, best first; the last is nullptr.
inline constexpr const char* engine_names[] = {"vdso", "vdso_mainline", "syscall", "local",
                                               nullptr};

} // namespace deadbolt::robust
#endif
