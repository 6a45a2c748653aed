// SPDX-License-Identifier: MIT
// The slots of the member table: the evidence that a member died, the right to change a slot,
// and the shared holds that a member announces in its slot.
#ifndef DEADBOLT_REGION_SLOTS_HPP
#define DEADBOLT_REGION_SLOTS_HPP

#include <atomic>
#include <base/robust_list_links.hpp>
#include <cstdint>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// Where this libc's robust lists make a member's liveness word be; see format.hpp.
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
// execve), or, in the same PID namespace, its thread (its robust list was too long).
// `generation` and `life` are what the caller found the slot to have.
bool is_gone(const file_handle& file, const member_slot& slot, std::uint64_t generation,
             const std::atomic<std::uint32_t>& word, std::uint32_t life) noexcept;

// ---- taking and freeing a slot ----

// The right to change a slot's state: the slot's `claim` names this process. A process that
// died with a claim loses it to the next one that asks, which first finds its membership lock
// released: after the exit walk of each of its threads. So a token that is found under the
// claim is a crash's, and no robust list names that liveness word any more.
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

// Finds a slot that can be had, claims it, and leaves it with the token in the liveness word
// that this libc uses and a generation that was never in use. `error` is an errno value when
// the file system has no memory for one more slot.
struct taken_slot {
  std::uint32_t number;
  std::uint64_t generation;
};
attach_status take_slot(open_region& region, slot_claim& claim, taken_slot& taken,
                        int& error) noexcept;

// Frees a slot whose liveness word holds the token and is on no list.
void free_slot(member_slot& slot) noexcept;
void show_as_free(open_region& region, std::uint32_t number) noexcept;

// Marks every member dead whose process is known to be gone, so that the locks that they held
// pass on at once.
void mark_dead_members(open_region& region, process_id own) noexcept;

// Gives every slot that nobody is in a generation far above all that it had. For a file that may
// be of pages of different times (a power cut, a copy while it was used): a lock word can name a
// generation that its slot's page has not seen yet, and must not name the next member there.
void skip_generations(open_region& region, process_id own) noexcept;

// Whether the table has members whose life cannot be told by a membership lock.
bool has_unprovable_members(const open_region& region) noexcept;

// ---- owners ----

// The member that an owner word names, as the table has it.
struct owner_view {
  bool dead;
  member_slot* slot;                      // nullptr when the word names none
  const std::atomic<std::uint32_t>* life; // the same
  std::uint32_t liveness_value;
};

// `word` was loaded before, with acquire: word, generation, liveness word, in that order. The
// generation changes only when its owner is gone, so a difference proves that; and a
// liveness word that is not alive is this owner's or, read late, that of a later one.
owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept;

// The second evidence of death, at the cost of system calls: for an owner that the
// kernel has not marked and whose waiter was not woken for the whole of a sleep.
bool is_gone_unmarked(const open_region& region, const owner_view& owner,
                      std::uint64_t word) noexcept;

// After any sleep on the owner's liveness word: the kernel wakes one sleeper, and all that sleep
// on this liveness word must look for the next owner's.
void pass_on(const owner_view& owner) noexcept;

// A liveness word as a futex.
inline const std::uint32_t* futex_of(const std::atomic<std::uint32_t>* life) noexcept {
  return reinterpret_cast<const std::uint32_t*>(life);
}

// ---- shared holds ----

// Ends a hold, or takes an announcement back, and wakes the writer that waits for that. The
// lock is not touched.
void withdraw(hold_entry& entry) noexcept;

// Empties a slot that is claimed: a dead owner's holds must be gone before the next owner is
// alive.
void drop_all_holds(member_slot& slot) noexcept;

} // namespace deadbolt::regions
#endif
