// SPDX-License-Identifier: MIT
// The protocols are models/region_slot.pml and, for the holds, models/region_shared_mutex.pml.
#include <region/slots.hpp>

#include <base/futex.hpp>
#include <errno.h>
#include <limits.h>
#include <region/process.hpp>
#include <sys/stat.h>

namespace deadbolt::regions {

slot_claim::slot_claim(const open_region& region) noexcept
    : file_{base::open_file(base::descriptor_path{region.descriptor}.get(), O_RDWR)} {
  struct stat status;
  if (file_.get() < 0) {
    error_ = fcntl(region.descriptor, F_GETFD) < 0 ? attach_status::descriptor_lost
                                                   : attach_status::system_error;
  } else if (fstat(file_.get(), &status) != 0 || status.st_dev != region.device ||
             status.st_ino != region.inode) {
    // The program closed the region's descriptor, and the number names another file.
    error_ = attach_status::descriptor_lost;
  }
}

bool slot_claim::try_take(std::uint32_t slot) noexcept {
  const std::int64_t offset = claim_lock_offset + slot;
  if (base::try_lock_byte(file_.get(), offset) != 0) return false;
  taken_ = offset;
  return true;
}

// Explicitly, and not by closing the file alone: a raw clone may have copied the
// descriptor meanwhile.
void slot_claim::give_back() noexcept {
  if (taken_ < 0) return;
  base::unlock_byte(file_.get(), taken_);
  taken_ = -1;
}

bool is_gone(int /*descriptor*/, const member_slot& slot, std::uint64_t generation,
             const std::atomic<std::uint32_t>& word, std::uint32_t life) noexcept {
  const process_state* process = this_process();
  if (process == nullptr || process->pid_namespace == 0) return false;
  if (slot.pid_namespace.load(std::memory_order_acquire) != process->pid_namespace) return false;
  // order: acquire, so that the liveness word and the generation are looked at later.
  const auto pid = static_cast<int>(slot.pid.load(std::memory_order_acquire));
  const auto tid = static_cast<int>(slot.tid.load(std::memory_order_acquire));
  if (pid <= 0 || tid <= 0) return false;
  if (arch::raw_syscall(SYS_tgkill, pid, tid, 0) != -ESRCH) return false;
  // order: the fields belong to one membership, for they are written before the
  // liveness word is and the generation has not moved since.
  return word.load(std::memory_order_acquire) == life &&
         slot.generation.load(std::memory_order_acquire) == generation;
}

namespace {

enum class pass { marked_only, gone_too };

bool can_be_had(const open_region& region, const member_slot& slot,
                const std::atomic<std::uint32_t>& word, std::uint32_t life, pass pass) noexcept {
  if (life == liveness_retired) return false;
  if (!is_alive(life)) return true;
  return pass == pass::gone_too &&
         is_gone(region.descriptor, slot, slot.generation.load(std::memory_order_acquire), word,
                 life);
}

// A kind that is none was written by a stranger.
std::atomic<std::uint32_t>* word_of(member_slot& slot) noexcept {
  std::atomic<std::uint32_t>* word =
      liveness_word(&slot, slot.kind.load(std::memory_order_acquire));
  return word != nullptr ? word : liveness_word(&slot, 0);
}

// With the claim held.
bool take(const open_region& region, member_slot& slot, pass pass) noexcept {
  std::atomic<std::uint32_t>* word = word_of(slot);
  std::uint32_t life = word->load(std::memory_order_acquire);
  if (!can_be_had(region, slot, *word, life, pass)) return false;
  // From here on a crash leaves the token, and the next holder of the claim starts over.
  if (!word->compare_exchange_strong(life, liveness_claimed, std::memory_order_acq_rel))
    return false;
  const std::uint64_t generation = slot.generation.load(std::memory_order_relaxed);
  if (generation >= last_generation) {
    word->store(liveness_retired, std::memory_order_release);
    return false;
  }
  // Before anybody is alive here again: what it announces must be its own.
  drop_all_holds(slot);
  // order: release; who reads the new generation knows that the old owner is gone,
  // and who reads what is published later reads the new generation.
  if (life != liveness_free) slot.generation.store(generation + 1, std::memory_order_release);
  std::atomic<std::uint32_t>* mine =
      liveness_word(&slot, static_cast<std::uint32_t>(this_libc_kind));
  if (mine != word) {
    mine->store(liveness_claimed, std::memory_order_release);
    slot.kind.store(static_cast<std::uint32_t>(this_libc_kind), std::memory_order_release);
    word->store(liveness_free, std::memory_order_relaxed);
  } else {
    slot.kind.store(static_cast<std::uint32_t>(this_libc_kind), std::memory_order_release);
  }
  return true;
}

// Before the member is alive, so that whoever looks for its holds looks far enough.
void raise_slots_used(std::atomic<std::uint32_t>& used, std::uint32_t least) noexcept {
  std::uint32_t seen = used.load(std::memory_order_relaxed);
  while (seen < least && !used.compare_exchange_weak(seen, least, std::memory_order_seq_cst)) {
  }
}

} // namespace

bool take_slot(open_region& region, slot_claim& claim, taken_slot& taken) noexcept {
  for (const pass pass : {pass::marked_only, pass::gone_too}) {
    // The lowest first, a dead member's among them: slots_used stays small.
    for (std::uint32_t number = 0; number < region.members; ++number) {
      member_slot& slot = *region.slot(number);
      const std::atomic<std::uint32_t>* word = word_of(slot);
      if (!can_be_had(region, slot, *word, word->load(std::memory_order_relaxed), pass)) continue;
      if (!claim.try_take(number)) continue;
      if (take(region, slot, pass)) {
        raise_slots_used(region.header()->slots_used, number + 1);
        taken = {number, slot.generation.load(std::memory_order_relaxed)};
        return true;
      }
      claim.give_back();
    }
  }
  return false;
}

void free_slot(member_slot& slot) noexcept {
  std::atomic<std::uint32_t>* word =
      liveness_word(&slot, static_cast<std::uint32_t>(this_libc_kind));
  const std::uint64_t generation = slot.generation.load(std::memory_order_relaxed);
  if (generation >= last_generation) {
    word->store(liveness_retired, std::memory_order_release);
    return;
  }
  // order: the generation moves before the slot can be had again.
  slot.generation.store(generation + 1, std::memory_order_release);
  word->store(liveness_free, std::memory_order_release);
}

// ---- owners ----

owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept {
  const std::uint32_t number = slot_of(word);
  if (number >= region.members) return {true, nullptr, nullptr, 0}; // no member writes that
  member_slot* slot = region.slot(number);
  const std::uint64_t generation = generation_of(word);
  if (slot->generation.load(std::memory_order_acquire) != generation) {
    return {true, nullptr, nullptr, 0};
  }
  const std::atomic<std::uint32_t>* life =
      liveness_word(slot, slot->kind.load(std::memory_order_acquire));
  if (life == nullptr) return {true, nullptr, nullptr, 0};
  const std::uint32_t value = life->load(std::memory_order_acquire);
  const bool dead =
      !is_alive(value) || slot->generation.load(std::memory_order_acquire) != generation;
  return {dead, slot, life, value};
}

bool is_gone_unmarked(const open_region& region, const owner_view& owner,
                      std::uint64_t word) noexcept {
  return is_gone(region.descriptor, *owner.slot, generation_of(word), *owner.life,
                 owner.liveness_value);
}

void pass_on(const owner_view& owner) noexcept {
  if (owner.life->load(std::memory_order_acquire) != owner.liveness_value) {
    base::futex_wake(futex_of(owner.life), INT_MAX);
  }
}

// ---- shared holds ----

void withdraw(hold_entry& entry) noexcept {
  // order: release, pairs with the writer that finds the hold gone.
  // death order: the one word; a wake reads and writes nothing of the lock.
  if ((entry.exchange(0, std::memory_order_release) & hold_awaited) != 0) {
    base::futex_wake(futex_of(entry), INT_MAX);
  }
}

void drop_all_holds(member_slot& slot) noexcept {
  std::uint32_t bound = slot.holds_bound.load(std::memory_order_relaxed);
  if (bound > most_holds) bound = most_holds;
  // A writer that read a liveness word before the last owner's death, and finds the same
  // value under the next owner, sleeps on the hold alone: hence with a wake.
  for (std::uint32_t i = 0; i < bound; ++i) {
    if (slot.holds[i].load(std::memory_order_relaxed) != 0) withdraw(slot.holds[i]);
  }
  slot.holds_bound.store(0, std::memory_order_relaxed);
}

} // namespace deadbolt::regions
