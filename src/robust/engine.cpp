// SPDX-License-Identifier: MIT
#include <robust/engine.hpp>

#include <base/futex.hpp>
#include <base/message.hpp>
#include <base/vdso_image.hpp>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/robust_futex.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
std::uint32_t deadbolt_local_futex_unlock(std::uint32_t* word, robust_list_head* head,
                                          std::uint32_t expected) noexcept;
// The block above jumps here if the word holds neither `expected` nor `expected` with WAITERS.
// The block has written nothing then.
[[noreturn]] void deadbolt_abort_unlock_of_changed_word(const std::uint32_t* word,
                                                        robust_list_head* head,
                                                        std::uint32_t expected) noexcept;
int deadbolt_local_pi_futex_try_unlock(std::uint32_t* word, std::uint32_t* expected,
                                       robust_list_head* head) noexcept;
}

namespace deadbolt::robust {
namespace {

// The vDSO's functions. The March 2026 proposal's for a lock without PI releases whatever the word
// holds; mainline's take the TID, which the word must hold, and the address of list_op_pending.
using futex_unlock = std::uint32_t (*)(std::uint32_t* word, robust_list_head* head) noexcept;
using pi_try_unlock = decltype(engine::pi_try_unlock);
using list64_try_unlock = std::uint32_t (*)(std::uint32_t* lock, std::uint32_t tid,
                                            std::uint64_t* pending) noexcept;

constinit futex_unlock vdso_futex_unlock = nullptr;
constinit list64_try_unlock mainline_try_unlock = nullptr;

std::uint64_t* pending_slot(robust_list_head* head) noexcept {
  static_assert(sizeof(void*) == sizeof(std::uint64_t));
  return reinterpret_cast<std::uint64_t*>(&head->list_op_pending);
}

// Whether a robust unlock that failed released the word nevertheless: the kernel releases first,
// then clears list_op_pending, then wakes, and each of these steps can fail. `before` is what
// list_op_pending held. If the kernel released the word but could not write list_op_pending, the
// word's memory may already be reused: then the store below faults, so that this thread does not
// use the word again.
bool failed_but_released(robust_list_head* head, const robust_list* before) noexcept {
  robust_list* const now = __atomic_load_n(&head->list_op_pending, __ATOMIC_RELAXED);
  if (now == nullptr && before != nullptr) return true;
  __atomic_store_n(&head->list_op_pending, now, __ATOMIC_RELAXED);
  return false;
}

// Releases in the kernel. If the kernel refuses, the local block releases; it faults if the word
// cannot be written.
std::uint32_t unlock_in_kernel(std::uint32_t* word, robust_list_head* head,
                               std::uint32_t expected) noexcept {
  const robust_list* const before = __atomic_load_n(&head->list_op_pending, __ATOMIC_RELAXED);
  // The kernel has handled WAITERS.
  if (base::futex_robust_unlock(word, pending_slot(head)) >= 0) return expected;
  if (failed_but_released(head, before)) return expected;
  return deadbolt_local_futex_unlock(word, head, expected);
}

int pi_unlock_in_kernel(std::uint32_t* word, std::uint32_t* expected,
                        robust_list_head* head) noexcept {
  // The kernel compares the word with the caller's TID, not with *expected.
  // order: relaxed, the owner's bits are stable.
  const std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  if (seen != *expected && (seen ^ *expected) != FUTEX_WAITERS) {
    *expected = seen;
    return 0;
  }
  const robust_list* const before = __atomic_load_n(&head->list_op_pending, __ATOMIC_RELAXED);
  long result;
  do {
    result = base::futex_robust_unlock_pi(word, pending_slot(head));
  } while (result == -EAGAIN);
  if (result == 0 || failed_but_released(head, before)) return 1;
  // WAITERS makes the caller call FUTEX_UNLOCK_PI, which returns the error.
  *expected = __atomic_load_n(word, __ATOMIC_RELAXED) | FUTEX_WAITERS;
  return 0;
}

std::uint32_t vdso_unlock(std::uint32_t* word, robust_list_head* head,
                          std::uint32_t /*expected*/) noexcept {
  const std::uint32_t old = vdso_futex_unlock(word, head);
  if (__builtin_expect((old & FUTEX_WAITERS) != 0, 0)) {
    // The word's memory may already be reused. list_op_pending tells the kernel that this wake
    // is owed; the call clears it, unless a seccomp filter refused the call.
    base::futex_wake(word, 1);
    // For that case. death order: after the wake, or a death in between would lose it.
    __atomic_store_n(&head->list_op_pending, nullptr, __ATOMIC_RELEASE);
  }
  return old & ~FUTEX_WAITERS;
}

std::uint32_t mainline_unlock(std::uint32_t* word, robust_list_head* head,
                              std::uint32_t expected) noexcept {
  if (mainline_try_unlock(word, expected, pending_slot(head)) == expected) return expected;
  return unlock_in_kernel(word, head, expected);
}

int mainline_pi_try_unlock(std::uint32_t* word, std::uint32_t* expected,
                           robust_list_head* head) noexcept {
  const std::uint32_t wanted = *expected;
  if ((wanted & FUTEX_WAITERS) == 0) {
    const std::uint32_t seen = mainline_try_unlock(word, wanted, pending_slot(head));
    if (seen == wanted) return 1;
    *expected = seen;
    if ((seen ^ wanted) != FUTEX_WAITERS) return 0;
  }
  return pi_unlock_in_kernel(word, expected, head);
}

constexpr engine local_engine{.name = "local",
                              .protected_by_kernel = false,
                              .unlock = deadbolt_local_futex_unlock,
                              .pi_try_unlock = deadbolt_local_pi_futex_try_unlock};

template <class Function>
bool find(const char* name, Function& function) noexcept {
  static const base::vdso_image vdso = base::this_process_vdso();
  function = reinterpret_cast<Function>(reinterpret_cast<std::uintptr_t>(vdso.find_function(name)));
  return function != nullptr;
}

// Tries a robust unlock of a local word without waiters, with a local variable as list_op_pending.
bool kernel_knows_robust_unlock() noexcept {
  std::uint32_t word = 1;
  std::uint64_t pending = 1;
  return base::futex_robust_unlock(&word, &pending) == 0 && word == 0 && pending == 0;
}

bool make(const char* name, engine& made) noexcept {
  if (strcmp(name, "vdso") == 0) {
    made = {.name = "vdso",
            .protected_by_kernel = true,
            .unlock = vdso_unlock,
            .pi_try_unlock = nullptr};
    return find("__vdso_robust_futex_unlock", vdso_futex_unlock) &&
           find("__vdso_robust_pi_futex_try_unlock", made.pi_try_unlock);
  }
  if (strcmp(name, "vdso_mainline") == 0) {
    made = {.name = "vdso_mainline",
            .protected_by_kernel = true,
            .unlock = mainline_unlock,
            .pi_try_unlock = mainline_pi_try_unlock};
    return find("__vdso_futex_robust_list64_try_unlock", mainline_try_unlock) &&
           kernel_knows_robust_unlock();
  }
  if (strcmp(name, "syscall") == 0) {
    made = {.name = "syscall",
            .protected_by_kernel = true,
            .unlock = unlock_in_kernel,
            .pi_try_unlock = pi_unlock_in_kernel};
    return kernel_knows_robust_unlock();
  }
  made = local_engine;
  return strcmp(name, "local") == 0;
}

void abort_bad_word(const char* function, const std::uint32_t* word) noexcept {
  base::message{}
      .text(function)
      .text(": the lock word's address ")
      .pointer(word)
      .text(word == nullptr ? " is null" : " is not a multiple of 4")
      .abort();
}

inline bool is_bad(const std::uint32_t* word) noexcept {
  return word == nullptr || reinterpret_cast<std::uintptr_t>(word) % sizeof *word != 0;
}

} // namespace

constinit engine chosen_engine{};

void choose_engine() noexcept {
  choose_engine(secure_getenv("DEADBOLT_ENGINE"));
}

namespace {

[[gnu::constructor]] void choose_engine_at_load() noexcept {
  if (chosen_engine.name == nullptr) choose_engine();
}

} // namespace

void choose_engine(const char* wanted) noexcept {
  engine made{};
  if (wanted != nullptr && *wanted != '\0') {
    if (!make(wanted, made)) {
      base::message line;
      // The name comes last, since it may be too long for the line.
      line.text("DEADBOLT_ENGINE: the engines of this kernel are");
      for (const char* const* name = engine_names; *name != nullptr; ++name) {
        if (engine_is_available(*name)) line.text(" ").text(*name);
      }
      line.text("; name one of them, or unset it for the best. There is no ")
          .text(wanted)
          .exit(127);
    }
  } else {
    const char* const* name = engine_names;
    while (!make(*name, made)) ++name;
  }
  chosen_engine = made;
}

bool engine_is_available(const char* name) noexcept {
  engine made{};
  return make(name, made);
}

} // namespace deadbolt::robust

void deadbolt_abort_unlock_of_changed_word(const std::uint32_t* word, robust_list_head* /*head*/,
                                           std::uint32_t expected) noexcept {
  deadbolt::base::message{}
      .text("unlock of the lock word at ")
      .pointer(word)
      .text(": it holds ")
      .hex(__atomic_load_n(word, __ATOMIC_RELAXED))
      .text(" where its owner left ")
      .hex(expected)
      .text(": it was overwritten, or made anew, while it was held")
      .abort();
}

std::uint32_t robust_futex_unlock(std::uint32_t* uaddr, robust_list_head* head) {
  using namespace deadbolt::robust;
  if (is_bad(uaddr)) abort_bad_word("robust_futex_unlock", uaddr);
  deadbolt::detail::thread_sanitizer_unlocks(uaddr);
  // order: relaxed, the owner's bits are stable.
  const std::uint32_t seen = __atomic_load_n(uaddr, __ATOMIC_RELAXED);
  return this_engine().unlock(uaddr, head, seen & ~FUTEX_WAITERS);
}

int robust_pi_futex_try_unlock(std::uint32_t* uaddr, std::uint32_t* expected,
                               robust_list_head* head) {
  using namespace deadbolt::robust;
  if (is_bad(uaddr)) abort_bad_word("robust_pi_futex_try_unlock", uaddr);
  deadbolt::detail::thread_sanitizer_unlocks(uaddr);
  return this_engine().pi_try_unlock(uaddr, expected, head);
}

const char* deadbolt_engine(void) {
  return deadbolt::robust::this_engine().name;
}
