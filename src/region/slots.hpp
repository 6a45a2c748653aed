// SPDX-License-Identifier: MIT
// The slots of the member table: the evidence that a member died, the right to change a slot,
// and the shared holds that a member announces in its slot.
#ifndef DEADBOLT_REGION_SLOTS_HPP
#define DEADBOLT_REGION_SLOTS_HPP

#include <atomic>
#include <base/file.hpp>
#include <base/robust_list_links.hpp>
#include <cstdint>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// Where this libc's robust lists make a member's liveness word be; see format.hpp.
inline constexpr liveness_kind this_libc_kind =
    base::is_64_bit ? (base::is_glibc ? liveness_kind::at_4072 : liveness_kind::at_4076)
                    : (base::is_glibc ? liveness_kind::at_4076 : liveness_kind::at_4088);

// The right to change a slot's state: a lock on one byte, held by an open file
// description of this operation alone. The kernel lets go of it when the process
// dies, after the exit walk of each of its threads: a token that is found under
// the claim is a crash's, and no list names that liveness word any more.
class slot_claim {
public:
  // Opens a description of the region's file; see error().
  explicit slot_claim(const open_region& region) noexcept;
  ~slot_claim() { give_back(); }
  slot_claim(const slot_claim&) = delete;
  slot_claim& operator=(const slot_claim&) = delete;

  [[nodiscard]] attach_status error() const noexcept { return error_; }

  // False while another holds it.
  bool try_take(std::uint32_t slot) noexcept;
  void give_back() noexcept;

private:
  base::file file_;
  attach_status error_ = attach_status::attached;
  std::int64_t taken_ = -1;
};

// Whether the member's thread is gone though the kernel has not marked it: execve by a
// thread that is not the leader. Only ever true in the member's own PID namespace.
// `generation` and `life` are what the caller found the slot to have.
bool is_gone(int descriptor, const member_slot& slot, std::uint64_t generation,
             const std::atomic<std::uint32_t>& word, std::uint32_t life) noexcept;

// Finds a slot that can be had, claims it, and leaves it with the token in the life
// word that this libc uses and a generation that was never in use.
struct taken_slot {
  std::uint32_t number;
  std::uint64_t generation;
};
bool take_slot(open_region& region, slot_claim& claim, taken_slot& taken) noexcept;

// Frees a slot whose liveness word holds the token and is on no list.
void free_slot(member_slot& slot) noexcept;

// ---- owners ----

// The member that an owner word names, as the table has it.
struct owner_view {
  bool dead;
  member_slot* slot;                      // nullptr when the word names none
  const std::atomic<std::uint32_t>* life; // the same
  std::uint32_t liveness_value;
};

// `word` was loaded before, with acquire: word, generation, life, in that order. The
// generation moves only when its owner is gone, so a difference is proof of that; and a
// liveness word that is not alive is this owner's or, read late, that of a later one.
owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept;

// The second evidence of death, at the cost of a system call: for an owner that the
// kernel has not marked and whose waiter was not woken for the whole of a sleep.
bool is_gone_unmarked(const open_region& region, const owner_view& owner,
                      std::uint64_t word) noexcept;

// After any sleep on the owner's liveness word: the kernel wakes one sleeper, and all who sleep
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
