// SPDX-License-Identifier: MIT
// The protocols are models/region_slot.pml, for files of another boot models/region_adoption.pml,
// and for the holds models/region_shared_mutex.pml.
#include <region/slots.hpp>

#include <algorithm>
#include <base/clock.hpp>
#include <base/file.hpp>
#include <base/futex.hpp>
#include <errno.h>
#include <limits.h>
#include <region/bias.hpp>
#include <region/process.hpp>
#include <sched.h>
#include <sys/mman.h>

namespace deadbolt::regions {

// ---- evidence of death ----

bool is_process_gone(const file_handle& file, process_id process) noexcept {
  const process_state* own = this_process();
  if (own == nullptr || process == own->id_in(file.identity)) return false;
  if (has_membership_lock(process)) {
    // Read once: an open in another thread replaces a lost descriptor. It is checked after the
    // look: if its number went to another file, that file knows no such lock.
    const int descriptor = __atomic_load_n(&file.descriptor, __ATOMIC_RELAXED);
    return base::look_for_lock(descriptor, static_cast<std::int64_t>(process), 1) ==
               base::lock_state::none &&
           base::names(descriptor, file.identity);
  }
  const std::uint64_t pid_namespace = own->own_pid_namespace() & 0x7fffffff;
  if ((process & named_by_pid) == 0 || pid_namespace == 0 ||
      (process >> 32 & 0x7fffffff) != pid_namespace) {
    return false;
  }
  const auto pid = static_cast<int>(process & 0xffffffff);
  return pid > 0 && arch::raw_syscall(SYS_kill, pid, 0) == -ESRCH;
}

namespace {

// In the same PID namespace, whether no thread has the member's TID.
bool is_thread_gone(const member_slot& slot) noexcept {
  const process_state* own = this_process();
  if (own == nullptr || own->own_pid_namespace() == 0 ||
      slot.pid_namespace.load(std::memory_order_acquire) != own->own_pid_namespace()) {
    return false;
  }
  const auto pid = static_cast<int>(slot.pid.load(std::memory_order_acquire));
  const auto tid = static_cast<int>(slot.tid.load(std::memory_order_acquire));
  return pid > 0 && tid > 0 && arch::raw_syscall(SYS_tgkill, pid, tid, 0) == -ESRCH;
}

} // namespace

bool is_gone(const file_handle& file, const member_slot& slot, std::uint64_t generation,
             const std::atomic<std::uint32_t>& word, std::uint32_t life) noexcept {
  // order: acquire, here and in is_thread_gone(), so that the liveness word and the generation
  // are looked at later.
  if (!is_process_gone(file, slot.process.load(std::memory_order_acquire)) &&
      !is_thread_gone(slot)) {
    return false;
  }
  // order: the fields belong to one membership, for they are written before the
  // liveness word is and the generation has not changed since.
  return word.load(std::memory_order_acquire) == life &&
         slot.generation.load(std::memory_order_acquire) == generation;
}

// ---- taking and freeing a slot ----

bool slot_claim::try_take(member_slot& slot) noexcept {
  process_id seen = slot.claim.load(std::memory_order_acquire);
  // A value that names no process is corrupted or hostile memory: treated as no claim.
  const bool names_process = has_membership_lock(seen) || (seen & named_by_pid) != 0;
  // A claim of this process's own is another thread's.
  if (names_process && (seen == own_ || !is_process_gone(file_, seen))) return false;
  // order: acquire, pairs with the release in give_back(); from a dead process, with the kernel's
  // release of its membership lock.
  if (!slot.claim.compare_exchange_strong(seen, own_, std::memory_order_acq_rel)) return false;
  taken_ = &slot;
  return true;
}

void slot_claim::give_back() noexcept {
  if (taken_ == nullptr) return;
  process_id mine = own_;
  // Another value is a hostile peer's.
  taken_->claim.compare_exchange_strong(mine, no_process, std::memory_order_release);
  taken_ = nullptr;
}

namespace {

enum class pass { marked_only, gone_too };

bool can_be_had(const file_handle& file, const member_slot& slot,
                const std::atomic<std::uint32_t>& word, std::uint32_t life, pass pass) noexcept {
  if (life == liveness_retired) return false;
  if (!is_alive(life)) return true;
  return pass == pass::gone_too &&
         is_gone(file, slot, slot.generation.load(std::memory_order_acquire), word, life);
}

// An invalid kind is corrupted or hostile memory: treated as kind 0.
std::atomic<std::uint32_t>* word_of(member_slot& slot) noexcept {
  std::atomic<std::uint32_t>* word =
      liveness_word(&slot, slot.kind.load(std::memory_order_acquire));
  return word != nullptr ? word : liveness_word(&slot, 0);
}

// With the claim held.
void skip_generation(member_slot& slot) noexcept {
  // More members than a slot can have before the kernel writes its page back to the disk, which it
  // does within a minute, or before a copy is finished: at 1.5 us each they would take 27 minutes.
  // All generations last for 8,192 skips.
  constexpr std::uint64_t skipped = std::uint64_t{1} << 30;
  const std::uint64_t generation = slot.generation.load(std::memory_order_relaxed);
  slot.generation.store(std::min(generation + skipped, last_generation), std::memory_order_release);
}

// With the claim held.
bool take(open_region& region, std::uint32_t number, pass pass) noexcept {
  member_slot& slot = *region.slot(number);
  std::atomic<std::uint32_t>* word = word_of(slot);
  std::uint32_t life = word->load(std::memory_order_acquire);
  if (!can_be_had(region.file, slot, *word, life, pass)) return false;
  if (is_slot_needed(region, number, slot)) return false;
  // Before the token is there: after a crash the next holder of the claim skips again.
  if (life == liveness_dead_elsewhen) skip_generation(slot);
  // From here on a crash leaves the token, and the next holder of the claim starts over.
  if (!word->compare_exchange_strong(life, liveness_claimed, std::memory_order_acq_rel))
    return false;
  const std::uint64_t generation = slot.generation.load(std::memory_order_relaxed);
  if (generation >= last_generation) {
    word->store(liveness_retired, std::memory_order_release);
    return false;
  }
  // Before a member is alive here again: what it announces must be its own.
  drop_all_holds(slot);
  forget_announcements(slot);
  // order: release; a thread that reads the new generation knows that the old owner is gone,
  // and a thread that reads what is published later reads the new generation.
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

bool try_slot(open_region& region, slot_claim& claim, std::uint32_t number, pass pass,
              taken_slot& taken) noexcept {
  member_slot& slot = *region.slot(number);
  const std::atomic<std::uint32_t>* word = word_of(slot);
  if (!can_be_had(region.file, slot, *word, word->load(std::memory_order_relaxed), pass) ||
      !claim.try_take(slot)) {
    return false;
  }
  if (!take(region, number, pass)) {
    claim.give_back();
    return false;
  }
  taken = {number, slot.generation.load(std::memory_order_relaxed)};
  return true;
}

bool search(open_region& region, slot_claim& claim, pass pass, taken_slot& taken) noexcept {
  const std::uint32_t used = region.slots_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    if (try_slot(region, claim, number, pass, taken)) return true;
  }
  return false;
}

std::atomic<std::uint64_t>& in_use_bits(open_region& region, std::uint32_t number) noexcept {
  return region.header()->slots_in_use[number / 64];
}
void show_as_used(open_region& region, std::uint32_t number) noexcept {
  in_use_bits(region, number).fetch_or(std::uint64_t{1} << number % 64, std::memory_order_relaxed);
}

// The first slot from `number` on that the hints show as free.
std::uint32_t next_shown_free(open_region& region, std::uint32_t number,
                              std::uint32_t end) noexcept {
  while (number < end) {
    const std::uint64_t used = in_use_bits(region, number).load(std::memory_order_relaxed);
    const std::uint64_t free = ~used >> number % 64;
    if (free != 0) return number + static_cast<std::uint32_t>(__builtin_ctzll(free));
    number = (number / 64 + 1) * 64;
  }
  return end;
}

} // namespace

int back_with_memory(const open_region& region, std::uint64_t offset,
                     std::uint64_t spare) noexcept {
  const bool has_descriptor = base::names(region.file.descriptor, region.file.identity);
  if (has_descriptor) {
    const long result = base::allocate(region.file.descriptor, offset, slot_bytes);
    if (result != -EOPNOTSUPP) return static_cast<int>(-result);
  }
  // Linux 5.14: touches the pages, and returns an error where a touch would raise a signal.
  constexpr int populate_write = 23;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin =
      (reinterpret_cast<std::uintptr_t>(region.base.load(std::memory_order_relaxed)) + offset) &
      ~(page - 1);
  const long populated = arch::raw_syscall(SYS_madvise, begin, page, populate_write);
  if (populated == 0) return 0;
  if (!has_descriptor) {
    if (populated == -EFAULT) return ENOSPC; // a touch would raise SIGBUS
    return populated == -ENOMEM ? ENOMEM : EBADF;
  }
  const char nothing = 0;
  return pwrite(region.file.descriptor, &nothing, 1, static_cast<off_t>(spare)) == 1 ? 0 : errno;
}

attach_status take_slot(open_region& region, slot_claim& claim, taken_slot& taken,
                        int& error) noexcept {
  const auto found = [&] {
    show_as_used(region, taken.number);
    error = 0; // of a new slot that could not be had, when a dead member's slot was found
    return attach_status::attached;
  };
  // The lowest first: slots_used stays small, and with it a shared_mutex's look for readers.
  std::uint32_t used = region.slots_used();
  for (std::uint32_t number = next_shown_free(region, 0, used); number < used;
       number = next_shown_free(region, number + 1, used)) {
    if (try_slot(region, claim, number, pass::marked_only, taken)) return found();
    show_as_used(region, number);
  }
  // Then search for dead members' slots, which the hints do not show as free. A search looks at
  // all slots, so it is made once in about half as many attaches as there are slots: its cost per
  // attach stays the same.
  const std::uint32_t left = region.attaches_until_search.load(std::memory_order_relaxed);
  if (left == 0) {
    if (search(region, claim, pass::marked_only, taken)) return found();
    region.attaches_until_search.store(used / 2 + 8, std::memory_order_relaxed);
  } else {
    region.attaches_until_search.store(left - 1, std::memory_order_relaxed);
  }
  error = 0;
  for (std::uint32_t number = used; number < region.members && error == 0; ++number) {
    // Another thread may be about to take the slot.
    error = back_with_memory(region, region.slot_offset(number),
                             region.slot_offset(number) + offsetof(member_slot, unused));
    if (error != 0) break;
    // Before the member is alive, so that a thread that looks for its holds looks far enough.
    raise(region.header()->slots_used, number + 1);
    if (try_slot(region, claim, number, pass::marked_only, taken)) return found();
  }
  // Before the attach fails, use every evidence of death there is.
  if (search(region, claim, pass::marked_only, taken) ||
      search(region, claim, pass::gone_too, taken)) {
    return found();
  }
  if (error == 0) return attach_status::table_full;
  return error == EBADF ? attach_status::descriptor_lost : attach_status::system_error;
}

void free_slot(member_slot& slot) noexcept {
  std::atomic<std::uint32_t>* word =
      liveness_word(&slot, static_cast<std::uint32_t>(this_libc_kind));
  const std::uint64_t generation = slot.generation.load(std::memory_order_relaxed);
  if (generation >= last_generation) {
    word->store(liveness_retired, std::memory_order_release);
    return;
  }
  // order: the generation advances before the slot can be taken again.
  slot.generation.store(generation + 1, std::memory_order_release);
  word->store(liveness_free, std::memory_order_release);
}

void show_as_free(open_region& region, std::uint32_t number) noexcept {
  in_use_bits(region, number)
      .fetch_and(~(std::uint64_t{1} << number % 64), std::memory_order_relaxed);
}

void mark_dead_members(open_region& region, process_id own) noexcept {
  const std::uint32_t used = region.slots_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    member_slot& slot = *region.slot(number);
    std::atomic<std::uint32_t>* word = word_of(slot);
    std::uint32_t life = word->load(std::memory_order_acquire);
    if (!is_alive(life)) continue;
    slot_claim claim{region.file, own};
    if (!claim.try_take(slot)) continue;
    life = word->load(std::memory_order_acquire);
    if (!is_alive(life) || !is_process_gone(region.file, slot.process)) continue;
    // Mark it as the kernel would, without a wake: a waiter is another user of the file, and finds
    // the death itself when its sleep ends.
    word->compare_exchange_strong(life, FUTEX_OWNER_DIED | FUTEX_WAITERS,
                                  std::memory_order_acq_rel);
  }
}

namespace {

// So that the slot's next member has a generation far above all that it has had.
void skip_next_generation(open_region& region, std::uint32_t number, bool claimed) noexcept {
  member_slot& slot = *region.slot(number);
  std::atomic<std::uint32_t>* word = word_of(slot);
  std::uint32_t life = word->load(std::memory_order_acquire);
  for (;;) {
    if (life == liveness_retired) return;
    const bool alive = is_alive(life);
    if (alive && !is_process_gone(region.file, slot.process)) return;
    // With the token there, the holder of the claim attaches or detaches. It has opened the file
    // before, and has done this.
    if (!claimed && life == liveness_claimed) return;
    if (claimed && !alive && !is_slot_needed(region, number, slot)) break;
    // The generation says whom a mutex is biased to, or is for the holder of the claim to change:
    // it is skipped when the slot is taken. Or the member is dead and without a mark, because
    // another process had the claim when mark_dead_members() came.
    if (word->compare_exchange_strong(life, liveness_dead_elsewhen, std::memory_order_acq_rel)) {
      return;
    }
  }
  skip_generation(slot);
}

} // namespace

void skip_generations(open_region& region, process_id own) noexcept {
  // Another opener may have a slot's claim for a moment, or stand still with it for longer.
  const std::int64_t patience_ends = base::now() + 1'000'000'000;
  const std::uint32_t used = region.slots_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    member_slot& slot = *region.slot(number);
    slot_claim claim{region.file, own};
    bool taken = claim.try_take(slot);
    while (!taken && base::now() < patience_ends) {
      sched_yield();
      taken = claim.try_take(slot);
    }
    skip_next_generation(region, number, taken);
  }
}

bool has_unprovable_members(const open_region& region) noexcept {
  const std::uint32_t used = region.slots_used();
  for (std::uint32_t number = 0; number < used; ++number) {
    member_slot& slot = *region.slot(number);
    const process_id process = slot.process.load(std::memory_order_acquire);
    if (is_alive(word_of(slot)->load(std::memory_order_acquire)) && !has_membership_lock(process) &&
        !is_process_gone(region.file, process)) {
      return true;
    }
  }
  return false;
}

// ---- owners ----

owner_view look_at_owner(const open_region& region, std::uint64_t word) noexcept {
  const std::uint32_t number = slot_of(word);
  // No member writes such a number.
  if (number >= region.slots_used()) return {true, nullptr, nullptr, 0};
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
  return is_gone(region.file, *owner.slot, generation_of(word), *owner.life, owner.liveness_value);
}

bool is_this_thread(const open_region& region, const owner_view& owner,
                    std::uint64_t word) noexcept {
  const process_state* own = this_process();
  if (own == nullptr || own->own_pid_namespace() == 0) return false;
  const member_slot& slot = *owner.slot;
  const auto tid = static_cast<std::uint32_t>(arch::raw_syscall(SYS_gettid));
  const bool same =
      slot.pid_namespace.load(std::memory_order_acquire) == own->own_pid_namespace() &&
      slot.pid.load(std::memory_order_acquire) == own->own_pid() &&
      slot.tid.load(std::memory_order_acquire) == tid;
  const process_id process = slot.process.load(std::memory_order_acquire);
  // order: the fields belong to the owner that the word names if its generation is still there.
  return same && slot.generation.load(std::memory_order_acquire) == generation_of(word) &&
         // An unmarked dead process can have had the numbers that this one has now.
         !is_process_gone(region.file, process);
}

void pass_on(const owner_view& owner) noexcept {
  if (owner.life->load(std::memory_order_acquire) != owner.liveness_value) {
    base::futex_wake(futex_of(owner.life), INT_MAX);
  }
}

// ---- shared holds ----

announcement announce(member_slot& slot, std::uint64_t name, hold_entry*& entry) noexcept {
  for (;;) {
    std::uint32_t bound = slot.holds_bound.load(std::memory_order_relaxed);
    if (bound > most_holds) bound = most_holds;
    entry = nullptr;
    for (std::uint32_t i = 0; i < bound; ++i) {
      const std::uint64_t seen = slot.holds[i].load(std::memory_order_relaxed);
      if ((seen & ~hold_awaited) == name) return announcement::held_already;
      if (seen == 0 && entry == nullptr) entry = &slot.holds[i];
    }
    if (entry == nullptr) {
      if (bound == most_holds) return announcement::too_many;
      // order: before the announcement itself.
      if (!slot.holds_bound.compare_exchange_strong(bound, bound + 1, std::memory_order_seq_cst)) {
        continue;
      }
      entry = &slot.holds[bound];
    }
    std::uint64_t none = 0;
    // order: the fence between the announcement and the look at the writer word.
    // death order: from here on the hold ends when the liveness word says so.
    if (entry->compare_exchange_strong(none, name, std::memory_order_seq_cst)) {
      return announcement::made;
    }
  }
}

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
  // The wake is needed: a writer may have read the liveness word before the last owner's death and
  // find the same value under the next owner; only a change of the hold ends its sleep.
  for (std::uint32_t i = 0; i < bound; ++i) {
    if (slot.holds[i].load(std::memory_order_relaxed) != 0) withdraw(slot.holds[i]);
  }
  slot.holds_bound.store(0, std::memory_order_relaxed);
}

} // namespace deadbolt::regions
