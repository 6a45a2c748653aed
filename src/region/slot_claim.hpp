// SPDX-License-Identifier: MIT
// Taking a slot of the member table, and giving it back.
#ifndef DEADBOLT_REGION_SLOT_CLAIM_HPP
#define DEADBOLT_REGION_SLOT_CLAIM_HPP

#include <base/file.hpp>
#include <cstdint>
#include <region/open_region.hpp>

namespace deadbolt::regions {

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
bool is_gone(const member_slot& slot, std::uint64_t generation,
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

} // namespace deadbolt::regions
#endif
