// SPDX-License-Identifier: MIT
// The bias of a mutex: the uncontended lock and unlock of a thread that takes the same mutex again
// and again, without an atomic operation; and how another thread ends that. The protocol is
// models/region_bias.pml; the bits are in format.hpp.
#ifndef DEADBOLT_REGION_BIAS_HPP
#define DEADBOLT_REGION_BIAS_HPP

#include <base/futex.hpp>
#include <cstdint>
#include <deadbolt/mutex.hpp>
#include <limits.h>
#include <region/membership.hpp>

namespace deadbolt::regions {

// A bias costs the thread that revokes it a membarrier, some microseconds. So a thread gets it only
// when it has taken the mutex this many times more than it has taken other mutexes with the same
// entry, and twice as many after each revocation.
inline constexpr std::uint32_t takes_before_bias = 64;

// Forgets a bias that was revoked, and wakes the threads that sleep until the announcement is 0.
[[gnu::cold, gnu::noinline]] void lose_bias(own_bias& own,
                                            bias_announcement& announcement) noexcept;

// The calling thread's announcement of a mutex, by the mapping that outlives the region's.
inline bias_announcement& own_announcement(const std::uint64_t& word,
                                           const attachment& self) noexcept {
  return self.slot->biases[bias_entry(reinterpret_cast<std::uintptr_t>(&word))];
}

// The name of a mutex that the attachment covers. A signal handler may give this thread the bias of
// another mutex at any time, and own_bias then tells of that one: so a name is made anew, of the
// mutex's own address.
inline std::uint32_t name_of(const std::uint64_t& word, const attachment& self) noexcept {
  return announced_name(reinterpret_cast<std::uintptr_t>(&word) - self.begin);
}

// True: the mutex is held. False: it is not biased to this thread, or held by it already.
inline bool take_biased(const std::uint64_t& word, const attachment& self) noexcept {
  own_bias& own = self.bias_of(&word);
  if (own.mutex != &word || !self.covers(&word)) return false;
  bias_announcement& announcement = own_announcement(word, self);
  if (announcement.lock.load(std::memory_order_relaxed) != 0) return false;
  // death order: a thread that dies from here on counts as the holder, if the word is still
  // assigned to it.
  announcement.lock.store(name_of(word, self), std::memory_order_relaxed);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  // order: after that store; the revoker enforces that by membarrier, between its write of the
  // word and its look at the announcement. Acquire, for what follows.
  if (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == own.word) [[likely]]
    return true;
  lose_bias(own, announcement);
  return false;
}

inline bool is_held_by_bias(const std::uint64_t& word, const attachment& self) noexcept {
  const own_bias& own = self.bias_of(&word);
  return own.mutex == &word &&
         own_announcement(word, self).lock.load(std::memory_order_relaxed) == name_of(word, self);
}

// The calling thread holds the mutex by its bias.
inline void release_biased(const std::uint64_t& word, const attachment& self) noexcept {
  bias_announcement& announcement = own_announcement(word, self);
  // order: release, pairs with the acquire of the revoker that finds the announcement gone. The
  // load of `awaited` must come after this store; the revoker enforces that by membarrier.
  // death order: this one store is the release. The mutex's memory is not touched after it.
  announcement.lock.store(0, std::memory_order_release);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (announcement.awaited.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    announcement.awaited.exchange(0, std::memory_order_seq_cst);
    base::futex_wake(reinterpret_cast<const std::uint32_t*>(&announcement.lock), INT_MAX);
  }
}

// Counts that this thread took the mutex by an atomic operation.
inline void count_take(const std::uint64_t& word, const attachment& self) noexcept {
  own_bias& own = self.bias_of(&word);
  if (own.candidate == &word) {
    ++own.taken;
  } else if (own.taken != 0) {
    --own.taken;
  } else {
    own.candidate = &word;
  }
}
inline bool may_have_bias(const std::uint64_t& word, const attachment& self) noexcept {
  const own_bias& own = self.bias_of(&word);
  return own.taken >= takes_before_bias && own.candidate == &word;
}
// What the calling thread, which is about to release the mutex, must store in the word: 0, or the
// word that biases the mutex to it.
std::uint64_t word_after_release(const detail::mutex_words& mutex, const attachment& self) noexcept;

// ---- other threads ----

// Whether the member that the biased word names holds the mutex at this address, or died while it
// held it or was about to. A member whose slot has been reused did not: see is_slot_needed().
bool holds_by_bias(const open_region& region, const std::uint64_t* word,
                   std::uint64_t seen) noexcept;

// What a revoker has found.
enum class bias_state {
  word_changed, // `seen` is the new word
  free,         // the word can be taken from `seen`
  held,         // the member's release wakes the threads that sleep on announcement_of()
};
// Revokes the bias of a word whose member lives. If membarrier is refused and `may_sleep` is true,
// the call sleeps until the member's stores must be visible; if it is false, returns `held`.
bias_state revoke_bias(const open_region& region, std::uint64_t* word, std::uint64_t& seen,
                       std::uint8_t& revocations, member_slot& slot, bool may_sleep) noexcept;
bias_announcement& announcement_of(const open_region& region, member_slot& slot,
                                   const std::uint64_t* word) noexcept;

// Whether the slot's dead member still holds a mutex by its bias. Only its slot says so: until the
// next locker of that mutex has been told owner_died, the slot must not be reused. Reads the
// mutex's word and writes nothing: its memory may have been reused.
bool is_slot_needed(open_region& region, std::uint32_t number, const member_slot& slot) noexcept;
// Whether the calling thread holds a mutex by its bias. It asks this before it frees its slot.
bool announces_a_mutex(const member_slot& slot) noexcept;
void forget_announcements(member_slot& slot) noexcept;

} // namespace deadbolt::regions
#endif
