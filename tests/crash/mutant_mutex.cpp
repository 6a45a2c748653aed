// SPDX-License-Identifier: MIT
#include "mutant_mutex.hpp"

#include "crash/locks.hpp"

#include <base/futex.hpp>
#include <cstdlib>
#include <deadbolt/robust_futex.h>
#include <new>
#include <robust/robust_lock.hpp>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

using robust::robust_node;

robust_node& node_at(void* lock) noexcept {
  return *static_cast<robust_node*>(lock);
}

void sleep_on(const std::uint32_t* word, std::uint32_t seen, bool bounded) noexcept {
  constexpr std::int64_t moment = 20'000'000;
  const std::int64_t until = bounded ? base::now() + moment : INT64_MAX;
  static_cast<void>(base::futex_wait_until(word, seen, {.realtime = false, .nanoseconds = until}));
}

} // namespace

std::size_t mutant_mutex::size() const {
  return sizeof(robust_node);
}
void mutant_mutex::create(void* lock) const {
  new (lock) robust_node DEADBOLT_ROBUST_NODE_INIT;
}
void mutant_mutex::destroy(void* lock) const {
  std::destroy_at(&node_at(lock));
}

// Some mutants do not survive their own unlock: they do not run it here.
void mutant_mutex::enter_thread(void* scratch) const {
  if (fault_ != fault::crashes && fault_ != fault::never_returns) subject::enter_thread(scratch);
}

grant mutant_mutex::take(void* lock, bool may_wait) const {
  robust_node& node = node_at(lock);
  const bool bounded = fault_ != fault::never_wakes && fault_ != fault::sleeps_unbounded;
  const robust::thread_identity self = robust::this_thread(lock);
  robust::announce(self, robust::links(node));
  std::uint32_t keep = 0;
  std::uint32_t seen = __atomic_load_n(&node.word, __ATOMIC_RELAXED);
  for (;;) {
    if (robust::is_free(seen)) {
      const std::uint32_t mine = self.tid | (seen & FUTEX_WAITERS) | keep;
      // order: acquire, pairs with the release in unlock.
      if (!__atomic_compare_exchange_n(&node.word, &seen, mine, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED))
        continue;
      robust::link_front(self.head, robust::links(node), robust::links(node));
      robust::retract(self);
      const bool tells = fault_ != fault::forgets_owner_death;
      return (seen & FUTEX_OWNER_DIED) != 0 && tells ? grant::owner_died : grant::acquired;
    }
    if (!may_wait) {
      robust::retract(self);
      return grant::busy;
    }
    if ((seen & FUTEX_WAITERS) == 0 &&
        !__atomic_compare_exchange_n(&node.word, &seen, seen | FUTEX_WAITERS, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      continue;
    sleep_on(&node.word, seen | FUTEX_WAITERS, bounded);
    keep = FUTEX_WAITERS;
    seen = __atomic_load_n(&node.word, __ATOMIC_RELAXED);
  }
}

grant mutant_mutex::lock(void* lock) const {
  return take(lock, true);
}
grant mutant_mutex::try_lock(void* lock) const {
  return take(lock, false);
}
void mutant_mutex::mark_consistent(void* /*lock*/) const {}

bool mutant_mutex::unlock(void* lock) const {
  robust_node& node = node_at(lock);
  const robust::thread_identity self = robust::this_thread(lock);
  if (!robust::is_owned_by(__atomic_load_n(&node.word, __ATOMIC_RELAXED), self)) return false;
  if (fault_ == fault::crashes) std::abort();
  while (fault_ == fault::never_returns) pause();

  robust::announce(self, robust::links(node));
  if (fault_ == fault::tears_the_list)
    self.head->list.next = &self.head->list;
  else if (fault_ != fault::unlinks_after_release)
    robust::unlink(self.head, robust::links(node), robust::links(node));
  // death order: as in the library, which has the reasons.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (fault_ == fault::clears_before_release) robust::retract(self);

  if (fault_ == fault::never_clears || fault_ == fault::never_wakes) {
    // order: release, pairs with the acquire in take.
    const std::uint32_t old = __atomic_exchange_n(&node.word, 0, __ATOMIC_RELEASE);
    if ((old & FUTEX_WAITERS) != 0 && fault_ != fault::never_wakes) base::futex_wake(&node.word, 1);
    if (fault_ != fault::never_clears) robust::retract(self);
    return true;
  }
  const std::uint32_t old = robust_futex_unlock(&node.word, self.head);
  if ((old & FUTEX_WAITERS) != 0) {
    base::futex_wake(&node.word, 1);
    robust::retract(self);
  }
  if (fault_ == fault::unlinks_after_release)
    robust::unlink(self.head, robust::links(node), robust::links(node));
  return true;
}

bool mutant_mutex::held_by(const void* lock, pid_t tid) const {
  return is_owned_by(&static_cast<const robust_node*>(lock)->word, tid);
}

} // namespace deadbolt::crash
