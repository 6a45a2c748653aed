// SPDX-License-Identifier: MIT
// The slots of the member table: the evidence that a member died, the right to change a slot,
// and the shared holds that a member announces in its slot.
#ifndef DEADBOLT_REGION_SLOTS_HPP
#define DEADBOLT_REGION_SLOTS_HPP

#include <atomic>
#include <base/robust_list.hpp>
#include <cstdint>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// Where a member's liveness word is in its slot, as the layout of this libc's robust lists
// requires; see format.hpp.
inline constexpr liveness_kind this_libc_kind =
    base::is_64_bit ? (base::is_glibc ? liveness_kind::at_4072 : liveness_kind::at_4076)
                    : (base::is_glibc ? liveness_kind::at_4076 : liveness_kind::at_4088);

// ---- evidence of death ----

// Whether the process has ended, or called execve. Asks the kernel whether its membership lock
// is still held; of a process without one, and only in the same PID namespace, whether its
// PID exists. False when that cannot be known.
bool is_process_gone(const file_handle& file, process_id process) noexcept;

// Whether a member is gone though the kernel has not marked its liveness word: its process is
// gone (its memory was reaped before the exit walk, or another thread than the leader called
// execve), or, in the same PID namespace, its thread (its robust list was too long), unless that
// was the main thread, whose TID lasts as long as its process. `generation` and `life` are what the
// caller found the slot to have.
bool is_gone(const file_handle& file, const member_slot& slot, std::uint64_t generation,
             const std::atomic<std::uint32_t>& word, std::uint32_t life) noexcept;

// ---- taking and freeing a slot ----

// The right to change a slot's state: the slot's `claim` names this process. The claim of a process
// that died passes to the next process that asks, once the dead process's membership lock is
// released, which the kernel does after the exit walk of each of its threads. So if the new holder
// of a claim finds liveness_claimed, the token, in the liveness word, a crash left it there, and
// no robust list names that word any more.
class slot_claim {
public:
  slot_claim(const file_handle& file, process_id own) noexcept : file_{file}, own_{own} {}
  ~slot_claim() { give_back(); }
  slot_claim(const slot_claim&) = delete;
  slot_claim& operator=(const slot_claim&) = delete;

  // False while another thread of this process, or another process that may be alive, holds it.
  bool try_take(member_slot& slot) noexcept;
  void give_back() noexcept;

private:
  const file_handle& file_;
  process_id own_;
  member_slot* taken_ = nullptr;
};

// Finds a slot that is free or whose member is dead, and claims it. The slot then has the token in
// the liveness word that this libc uses, and a generation that was never in use. `error` is an
// errno value when the file system has no memory for one more slot.
struct taken_slot {
  std::uint32_t number;
  std::uint64_t generation;
};
attach_status take_slot(open_region& region, slot_claim& claim, taken_slot& taken,
                        int& error) noexcept;

// Gives memory to the 4096 bytes of the file at `offset`, which may have none: the file is sparse,
// and a first touch would end the process (SIGBUS) on a full file system. `spare` is the offset of
// a byte among them that nobody uses yet, so that a 0 may be written there. 0 or an errno value;
// EBADF: the descriptor is lost, and the kernel (before 5.14) cannot do it without; ENOSPC: the
// file system is full.
int back_with_memory(const open_region& region, std::uint64_t offset, std::uint64_t spare) noexcept;

// For a number that only grows.
template <class Number>
void raise(std::atomic<Number>& number, Number least) noexcept {
  Number seen = number.load(std::memory_order_relaxed);
  while (seen < least && !number.compare_exchange_weak(seen, least, std::memory_order_seq_cst)) {
  }
}

// Frees a slot whose liveness word holds the token and is on no list.
void free_slot(member_slot& slot) noexcept;
void show_as_free(open_region& region, std::uint32_t number) noexcept;

// Marks every member dead whose process is known to be gone, so that the locks that they held
// pass on at once.
void mark_dead_members(open_region& region, process_id own) noexcept;

// Gives every unused slot a generation far above all that it has had. Needed for a file whose pages
// may be from different times (after a power cut, or copied while in use): a lock word can name a
// generation that the page of its slot does not show yet, and must not name the slot's next member.
// After mark_dead_members().
void skip_generations(open_region& region, process_id own) noexcept;

// Whether the table has members without a membership lock, of which open() cannot tell whether they
// are alive.
bool has_unprovable_members(const open_region& region) noexcept;

// ---- owners ----

// The member that an owner word names, as the table has it.
struct owner_view {
  bool dead;
  member_slot* slot;                      // nullptr when the word names none
  const std::atomic<std::uint32_t>* life; // the same
  std::uint32_t liveness_value;
};

// The caller has loaded `word` with acquire; this function then loads the generation, the liveness
// word and the generation again. A slot's generation changes only when its owner is gone, so a
// difference proves the owner's death. If there is none and the liveness word is not alive, this
// owner is dead too: the liveness word is its own or that of a later owner of the slot.
owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept;

// The second evidence of death, at the cost of system calls: for an owner that the
// kernel has not marked and whose waiter was not woken for the whole of a sleep.
bool is_gone_unmarked(const open_region& region, const owner_view& owner,
                      std::uint64_t word) noexcept;

// Whether a live owner that is another membership than this thread's own belongs to this thread,
// too: another copy of the library in the process (two plugins that were each linked with it) gives
// the thread a second membership.
bool is_this_thread(const open_region& region, const owner_view& owner,
                    std::uint64_t word) noexcept;

// Call this after every sleep on an owner's liveness word. When the owner dies the kernel wakes one
// sleeper; this function wakes the others, which then sleep on the next owner's liveness word.
void pass_on(const owner_view& owner) noexcept;

// A liveness word as a futex.
inline const std::uint32_t* futex_of(const std::atomic<std::uint32_t>* life) noexcept {
  return reinterpret_cast<const std::uint32_t*>(life);
}

// ---- shared holds ----

enum class announcement : std::uint32_t { made, held_already, too_many };

// Enters the name of a lock in the caller's own slot; `entry` is where. A signal handler may do the
// same at any point of this function.
announcement announce(member_slot& slot, std::uint64_t name, hold_entry*& entry) noexcept;

// Ends a hold, or takes an announcement back, and wakes the writer that waits for that. The
// lock is not touched.
void withdraw(hold_entry& entry) noexcept;

// Empties a slot that is claimed: a dead owner's holds must be gone before the next owner is
// alive.
void drop_all_holds(member_slot& slot) noexcept;

} // namespace deadbolt::regions
#endif
