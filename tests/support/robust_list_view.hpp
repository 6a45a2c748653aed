// SPDX-License-Identifier: MIT
// A thread's robust list as the kernel would find it.
#ifndef DEADBOLT_TESTS_ROBUST_LIST_VIEW_HPP
#define DEADBOLT_TESTS_ROBUST_LIST_VIEW_HPP

#include <cstddef>
#include <cstdint>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::testing {

inline pid_t gettid() noexcept {
  return static_cast<pid_t>(syscall(SYS_gettid));
}

// The calling thread's head.
inline robust_list_head* own_head() noexcept {
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  return syscall(SYS_get_robust_list, 0, &head, &size) == 0 ? head : nullptr;
}

// The words on the calling thread's list, in list order. Stops at the kernel's limit,
// so that a list with a loop in it shows as a long one.
inline std::vector<const void*> words_on_own_list() {
  constexpr std::size_t limit = 2048;
  constexpr std::uintptr_t pi_bit = 1;
  const robust_list_head* head = own_head();
  std::vector<const void*> words;
  const auto next_of = [](const robust_list* entry) {
    return reinterpret_cast<const robust_list*>(reinterpret_cast<std::uintptr_t>(entry->next) &
                                                ~pi_bit);
  };
  for (const robust_list* entry = next_of(&head->list);
       entry != &head->list && words.size() < limit; entry = next_of(entry)) {
    words.push_back(reinterpret_cast<const char*>(entry) + head->futex_offset);
  }
  return words;
}

} // namespace deadbolt::testing
#endif
