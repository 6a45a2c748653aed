// SPDX-License-Identifier: MIT
#include "preload/operations.hpp"

#include <base/futex.hpp>
#include <errno.h>

namespace deadbolt::preload {

void release_inheriting_slow(std::uint32_t* word, robust_list_head* head, std::uint32_t tid,
                             std::uint32_t seen) noexcept {
  while ((seen & FUTEX_WAITERS) == 0 && (seen & FUTEX_TID_MASK) == tid)
    if (robust::chosen_engine.pi_try_unlock(word, &seen, head) != 0) return;
  // The word is not the caller's any more, or the kernel refused the engine: FUTEX_UNLOCK_PI
  // decides. The mutex is off the list already, so its result is not needed.
  long result;
  do result = base::futex_unlock_pi(word);
  while (result == -EAGAIN);
  clear_pending(head);
}

void release(std::uint32_t* word, int kind) noexcept {
  robust_list_head* const head = own_head();
  if ((kind & inherit_bit) != 0) {
    std::uint32_t seen = own_tid(head);
    if (robust::chosen_engine.pi_try_unlock(word, &seen, head) == 0)
      release_inheriting_slow(word, head, own_tid(head), seen);
    return;
  }
  // order: relaxed, only waiters change the word of a held lock, and only the WAITERS bit.
  const std::uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  robust::chosen_engine.unlock(word, head, seen & ~FUTEX_WAITERS);
}

int unlock_slow(pthread_mutex_t* mutex, caller who) noexcept {
  auto& data = mutex->__data;
  const int kind = kind_of(mutex);
  robust_list_head* const head = own_head();
  const std::uint32_t tid = own_tid(head);
  const std::uint32_t word = __atomic_load_n(word_of(mutex), __ATOMIC_RELAXED);
  const bool owns_word = (word & FUTEX_TID_MASK) == tid;
  // An owner that did not make the mutex consistent leaves it not recoverable.
  const bool gives_up = owns_word && data.__owner == owner_inconsistent;
  if ((kind & kind_mask) == kind_recursive) {
    if (!gives_up && data.__owner != static_cast<int>(tid)) return EPERM;
    if (--data.__count != 0) return gives_up ? ENOTRECOVERABLE : 0;
  } else if (!owns_word) {
    return EPERM;
  }

  set_pending(head, entry_of(mutex, kind));
  dequeue(mutex);
  data.__owner = gives_up ? owner_not_recoverable : 0;
  if (who == caller::program) --data.__nusers;
  // death order: as in unlock().
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  release(word_of(mutex), kind);
  return 0;
}

} // namespace deadbolt::preload
