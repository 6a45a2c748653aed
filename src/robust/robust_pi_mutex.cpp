// SPDX-License-Identifier: MIT
#include <deadbolt/robust_pi_mutex.hpp>

#include <base/futex_pi.hpp>
#include <errno.h>
#include <robust/engine.hpp>
#include <robust/node_operations.hpp>
#include <robust/quiescence.hpp>

namespace deadbolt {

using namespace robust;

namespace {

// The entry as the kernel is to see it: bit 0 says PI. On the list musl's is
// unmarked, since its pthread_exit follows entries as they are; the kernel then
// does one wake too many at an owner's death, which no PI waiter can consume.
robust_list* pending_entry(robust_node& node) noexcept {
  return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(links(node)) | pi_bit);
}
robust_list* list_entry(robust_node& node) noexcept {
  return libc_marks_pi_entries ? pending_entry(node) : links(node);
}

// The engine did not release the word; `seen` is what it saw there. Asks for the thread's
// identity again, so that an unlock that succeeds keeps it in no register.
[[gnu::noinline, gnu::cold]] void hand_on(robust_node& node, std::uint32_t seen) noexcept {
  const thread_identity self = this_thread(&node);
  do {
    if ((seen & FUTEX_WAITERS) != 0 || !is_owned_by(seen, self)) {
      // Not back to the engine on EAGAIN: a compare-exchange of a word with WAITERS
      // would take it from the waiters whom the kernel knows.
      long result;
      do {
        result = base::futex_unlock_pi(&node.word);
      } while (result == -EAGAIN);
      // death order: nothing is retracted on a failure: the word is still ours.
      if (result != 0) abort_futex("FUTEX_UNLOCK_PI", &node.word, result);
      retract(self);
      return;
    }
  } while (chosen_engine.pi_try_unlock(&node.word, &seen, self.head) == 0);
}

// Off the list, released or handed on, nothing pending.
inline void release(thread_identity self, robust_node& node) noexcept {
  announce(self, pending_entry(node));
  unlink(self.head, links(node), list_entry(node));
  // death order: off the list before the word is free; until the release
  // list_op_pending still passes the mutex on.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  detail::thread_sanitizer_unlocks(&node.word);
  std::uint32_t seen = self.tid;
  if (__builtin_expect(chosen_engine.pi_try_unlock(&node.word, &seen, self.head) == 0, 0)) {
    hand_on(node, seen);
  }
}

// Apart, so that a lock that succeeds saves no registers for it.
[[gnu::noinline, gnu::cold]] lock_status settle_unrepaired(thread_identity self, robust_node& node,
                                                           bool owner_died) noexcept {
  const lock_status status = status_for_new_owner(node, owner_died);
  if (status == lock_status::not_recoverable) release(self, node);
  return status;
}

// The word names us: on the list, nothing pending, and how we came by it.
[[gnu::always_inline]] inline lock_status settle(thread_identity self, robust_node& node,
                                                 bool owner_died) noexcept {
  link_front(self.head, links(node), list_entry(node));
  retract(self);
  if (__builtin_expect(!owner_died && node.state == consistent, 1)) return lock_status::acquired;
  return settle_unrepaired(self, node, owner_died);
}

// After the kernel gave us the word. It leaves OWNER_DIED there; we keep that in
// `state`, so that unlock finds the bare TID.
lock_status settle_given(thread_identity self, robust_node& node) noexcept {
  // death order: dying between here and status_for_new_owner() is one more death of
  // an owner: the kernel sets the bit again.
  const std::uint32_t old =
      __atomic_fetch_and(&node.word, ~std::uint32_t{FUTEX_OWNER_DIED}, __ATOMIC_ACQUIRE);
  return settle(self, node, (old & FUTEX_OWNER_DIED) != 0);
}

// Waits in the kernel. On entry the node is announced; on return it is held, or
// retracted.
[[gnu::noinline]] lock_status lock_slow(thread_identity self, robust_node& node,
                                        const deadline* deadline) noexcept {
  for (;;) {
    const long result = base::futex_lock_pi(&node.word, deadline);
    switch (result) {
    case 0:
      return settle_given(self, node);
    case -EAGAIN: // the owner is exiting, and its mark is on the way
    case -EINTR:
      if (!is_over(deadline)) continue;
      [[fallthrough]];
    case -ETIMEDOUT:
      retract(self);
      return lock_status::timed_out;
    case -EDEADLK:
      retract(self);
      return lock_status::deadlock;
    case -ESRCH:
      retract(self);
      return lock_status::not_recoverable;
    default:
      abort_futex("FUTEX_LOCK_PI", &node.word, result);
    }
  }
}

inline lock_status lock_as(thread_identity self, robust_node& node,
                           const deadline* deadline) noexcept {
  announce(self, pending_entry(node));
  if (__builtin_expect(take_free_word(self, node), 1)) return settle(self, node, false);
  return lock_slow(self, node, deadline);
}
[[gnu::noinline, gnu::cold]] lock_status first_lock(robust_node& node) noexcept {
  return lock_as(first_use(node), node, nullptr);
}

inline unlock_status unlock_as(thread_identity self, robust_node& node) noexcept {
  if (!holds(self, node, list_entry(node))) return unlock_status::not_owner;
  give_up_unrepaired(node);
  release(self, node);
  return unlock_status::released;
}
[[gnu::noinline, gnu::cold]] unlock_status first_unlock(robust_node& node) noexcept {
  return unlock_as(first_use(node), node);
}

} // namespace

lock_status robust_pi_mutex::acquire() noexcept {
  return is_ready(node_) ? lock_as(known_thread(), node_, nullptr) : first_lock(node_);
}

lock_status robust_pi_mutex::acquire_until(detail::deadline deadline) noexcept {
  return lock_as(first_use(node_), node_, &deadline);
}

lock_status robust_pi_mutex::try_acquire() noexcept {
  const thread_identity self = first_use(node_);
  announce(self, pending_entry(node_));
  if (take_free_word(self, node_)) return settle(self, node_, false);
  // A word that is free but marked may have waiters whom the kernel knows.
  if (is_free(__atomic_load_n(&node_.word, __ATOMIC_RELAXED)) &&
      base::futex_trylock_pi(&node_.word) == 0) {
    return settle_given(self, node_);
  }
  retract(self);
  return lock_status::busy;
}

unlock_status robust_pi_mutex::release() noexcept {
  return is_ready(node_) ? unlock_as(known_thread(), node_) : first_unlock(node_);
}

bool robust_pi_mutex::mark_consistent() noexcept {
  return robust::mark_consistent(node_);
}

pid_t robust_pi_mutex::owner() const noexcept {
  return static_cast<pid_t>(__atomic_load_n(&node_.word, __ATOMIC_RELAXED) & FUTEX_TID_MASK);
}

robust_pi_mutex::~robust_pi_mutex() {
  await_destruction("robust_pi_mutex destroyed", this, sizeof *this);
}

} // namespace deadbolt
