// SPDX-License-Identifier: MIT
#include "preload/waiters_probe.hpp"

#include <base/futex.hpp>
#include <base/signals.hpp>
#include <limits.h>
#include <raw_syscall.hpp>
#include <sched.h>
#include <signal.h>
#include <sleeper_thread.hpp>

namespace deadbolt::preload {
namespace {

constexpr std::uint32_t gate_closed = 1;
constexpr int sleepers = 2;
constexpr int patience = 100'000; // sched_yield() calls until it gives up: many, for a busy machine

// Every futex here is shared, as the unlock's is.
struct probe_words {
  std::uint32_t gate = gate_closed;
  std::uint32_t lock = FUTEX_WAITERS | 1;
  std::uint32_t alive[sleepers] = {};
};

long give_turn() noexcept {
  return arch::raw_syscall(SYS_sched_yield);
}

// Moves `count` threads that sleep at the gate to the lock's word, and returns whether it could:
// only the kernel knows how many are asleep.
bool move_to_lock(probe_words& words, int count) noexcept {
  int moved = 0;
  for (int i = 0; i < patience && moved < count; ++i) {
    const long result = arch::raw_syscall(SYS_futex, &words.gate, FUTEX_CMP_REQUEUE, 0, INT_MAX,
                                          &words.lock, gate_closed);
    if (result < 0) return false;
    moved += static_cast<int>(result);
    if (moved < count) give_turn();
  }
  return moved == count;
}

void see_off(probe_words& words, int count) noexcept {
  __atomic_store_n(&words.gate, 0, __ATOMIC_SEQ_CST);
  for (int i = 0; i < count; ++i) {
    while (__atomic_load_n(&words.alive[i], __ATOMIC_ACQUIRE) != 0) {
      base::futex_wake(&words.gate, INT_MAX);
      base::futex_wake(&words.lock, INT_MAX);
      give_turn();
    }
  }
}

} // namespace

word_left probe_contended_unlock() noexcept {
  const base::signals_blocked quiet; // the sleepers inherit it
  probe_words words;
  int started = 0;
  while (started < sleepers && arch::start_sleeper(&words.gate, gate_closed, &words.alive[started]))
    ++started;
  word_left result = word_left::unknown;
  if (started == sleepers && move_to_lock(words, sleepers)) {
    std::uint64_t pending = 1;
    if (base::futex_robust_unlock(&words.lock, &pending) >= 0) {
      const std::uint32_t left = __atomic_load_n(&words.lock, __ATOMIC_RELAXED);
      if (left == 0) result = word_left::zero;
      if (left == FUTEX_WAITERS) result = word_left::waiters;
    }
  }
  see_off(words, started);
  return result;
}

} // namespace deadbolt::preload
