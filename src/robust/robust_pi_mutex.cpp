// SPDX-License-Identifier: MIT
#include <deadbolt/robust_pi_mutex.hpp>

#include <base/futex.hpp>
#include <base/spin.hpp>
#include <errno.h>
#include <linux/sched.h>
#include <robust/engine.hpp>
#include <robust/quiescence.hpp>
#include <robust/robust_lock.hpp>

namespace deadbolt {

using namespace robust;

namespace {

struct pi_kind {
  // Bit 0 tells the kernel that the entry is a PI mutex's.
  static robust_list* pending_entry(robust_node& node) noexcept {
    return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(links(node)) |
                                          base::pi_bit);
  }
  // On musl the entries on the list do not have the bit, since musl's pthread_exit uses them as
  // plain pointers. At an owner's death the kernel therefore also makes a FUTEX_WAKE, which has
  // no effect on PI waiters.
  static robust_list* list_entry(robust_node& node) noexcept {
    return base::is_glibc ? pending_entry(node) : links(node);
  }
  static void release_word(thread_identity self, robust_node& node) noexcept;
  static lock_status wait(thread_identity self, robust_node& node,
                          const deadline* deadline) noexcept;
};
using operations = lock_operations<pi_kind>;

// The engine did not release the word; `seen` is the value that it saw. Looks up the thread's
// identity again, so that the fast path need not keep it in a register.
[[gnu::noinline, gnu::cold]] void hand_on(robust_node& node, std::uint32_t seen) noexcept {
  const thread_identity self = this_thread(&node);
  do {
    if ((seen & FUTEX_WAITERS) != 0 || !is_owned_by(seen, self)) {
      // After EAGAIN this repeats the system call and does not return to the engine: the
      // engine's compare-exchange would free a word whose waiters the kernel is about to serve.
      long result;
      do {
        result = base::futex_unlock_pi(&node.word);
      } while (result == -EAGAIN);
      // death order: on a failure list_op_pending stays set: the caller still owns the word.
      if (result != 0) abort_futex("FUTEX_UNLOCK_PI", &node.word, result);
      retract(self);
      return;
    }
  } while (chosen_engine.pi_try_unlock(&node.word, &seen, self.head) == 0);
}

inline void pi_kind::release_word(thread_identity self, robust_node& node) noexcept {
  std::uint32_t seen = self.tid;
  if (__builtin_expect(chosen_engine.pi_try_unlock(&node.word, &seen, self.head) == 0, 0)) {
    hand_on(node, seen);
  }
}

// For a caller to which the kernel gave the word. The kernel leaves OWNER_DIED in the word. This
// function moves that to `state`, so that unlock finds the bare TID.
lock_status settle_given(thread_identity self, robust_node& node) noexcept {
  // death order: if the caller dies between here and the change of `state`, the kernel
  // sets the bit again, for the caller's own death.
  const std::uint32_t old =
      __atomic_fetch_and(&node.word, ~std::uint32_t{FUTEX_OWNER_DIED}, __ATOMIC_ACQUIRE);
  return operations::settle(self, node, (old & FUTEX_OWNER_DIED) != 0);
}

// Whether the kernel runs the caller before every thread of normal priority. Such a thread
// must not spin: on a CPU that it shares with the owner, the owner would not run.
bool is_real_time() noexcept {
  const long policy = arch::raw_syscall(SYS_sched_getscheduler, 0);
  return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

// Reads the word for some microseconds, and takes it if it becomes free. In the kernel,
// each unlock hands the word to a sleeping waiter, so that every pair costs two system
// calls and a context switch as long as any thread waits in the kernel.
//
// Spinning does not weaken priority inheritance:
// - The spinner only takes a word without WAITERS, so it overtakes no waiter in the kernel's queue.
// - A spinner of normal priority does not boost the owner. It would not do so in the kernel
//   either: the owner already runs at normal priority or better.
// - A thread of real-time priority enters the kernel at once. The few reads before the function
//   asks for the thread's priority take less time than that system call.
// While WAITERS is set the word cannot become free, but spinning on gives the queue in the kernel
// time to become empty. If each thread entered the kernel at once, the queue would never become
// empty, and every lock would stay on the slow path.
bool spin_for_word(thread_identity self, robust_node& node) noexcept {
  constexpr unsigned looks_before_question = 4;
  base::spinner spinner{node.spins};
  unsigned looks = 0;
  do {
    const std::uint32_t seen = __atomic_load_n(&node.word, __ATOMIC_RELAXED);
    if (seen == 0 && take_free_word(self, node)) {
      spinner.remember();
      return true;
    }
    // A deadlock, or a dead owner whose waiters the kernel may know: the kernel decides.
    if (is_owned_by(seen, self) || (seen & FUTEX_OWNER_DIED) != 0) return false;
    if (++looks == looks_before_question && is_real_time()) return false;
  } while (spinner.again());
  return false;
}

// Spins, then waits in the kernel.
[[gnu::noinline]] lock_status pi_kind::wait(thread_identity self, robust_node& node,
                                            const deadline* deadline) noexcept {
  if (spin_for_word(self, node)) return operations::settle(self, node, false);
  for (;;) {
    const long result = base::futex_lock_pi(&node.word, deadline);
    switch (result) {
    case 0:
      return settle_given(self, node);
    case -EAGAIN: // the owner is exiting, and the kernel has yet to mark the word
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

} // namespace

lock_status robust_pi_mutex::acquire() noexcept {
  return operations::lock(node_);
}

lock_status robust_pi_mutex::acquire_until(detail::deadline deadline) noexcept {
  return operations::lock_until(node_, deadline);
}

lock_status robust_pi_mutex::try_acquire() noexcept {
  const thread_identity self = first_use(node_);
  announce(self, pi_kind::pending_entry(node_));
  if (take_free_word(self, node_)) return operations::settle(self, node_, false);
  // A word that is free but marked may have waiters that only the kernel knows of.
  if (is_free(__atomic_load_n(&node_.word, __ATOMIC_RELAXED)) &&
      base::futex_trylock_pi(&node_.word) == 0) {
    return settle_given(self, node_);
  }
  retract(self);
  return lock_status::busy;
}

unlock_status robust_pi_mutex::release() noexcept {
  return operations::unlock(node_);
}

robust_pi_mutex::~robust_pi_mutex() {
  await_destruction("robust_pi_mutex destroyed", this, sizeof *this);
}

} // namespace deadbolt
