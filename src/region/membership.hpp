// SPDX-License-Identifier: MIT
// The calling thread as a member of a region.
#ifndef DEADBOLT_REGION_MEMBERSHIP_HPP
#define DEADBOLT_REGION_MEMBERSHIP_HPP

#include <cstddef>
#include <cstdint>
#include <linux/futex.h>
#include <region/format.hpp>
#include <region/open_region.hpp>

namespace deadbolt::regions {

struct process_state;

// What a thread knows of its biases (format.hpp), one for each entry of its slot: the mutex that
// was biased to it, and the one that it takes most often, which may get the bias next.
struct own_bias {
  const void* mutex;   // nullptr: none
  std::uint64_t word;  // what the mutex's word is while the bias holds
  std::uint32_t taken; // how often `candidate` was taken, less how often others were
  const void* candidate;
};

// One thread's membership of one region. It lies in the private page that follows the member's
// liveness page, 64 bytes after the list links. The kernel zeroes that page in a child
// (MADV_WIPEONFORK): a child sees an attachment that covers nothing and belongs to no region.
struct attachment {
  // What the lock paths read.
  std::uintptr_t begin;
  std::size_t length;
  std::uint64_t id;         // owner_id(slot, generation)
  std::uint64_t plain_id;   // with word_plain if this process makes barriers when asked, else id
  member_slot* shared_slot; // within the region's own mapping
  // 1 while the thread may still read a lock that it has released: see close().
  mutable std::uint32_t in_unlock;

  open_region* region; // closed_region when the process has unmapped it
  attachment* next_of_thread;
  attachment* next_of_process;
  attachment** link_of_process; // what points at this attachment in the process's list
  member_slot* slot; // through the liveness page's own mapping, which outlives the region's
  robust_list_head* head;
  base::file_identity file;
  process_id process;
  std::uint32_t slot_number;
  std::uint32_t tid;
  mutable own_bias biases[bias_entries];

  // close() in another thread changes these two meanwhile: to 0 and to closed_region.
  [[nodiscard]] bool covers(const void* address) const noexcept {
    return reinterpret_cast<std::uintptr_t>(address) - begin <
           __atomic_load_n(&length, __ATOMIC_RELAXED);
  }
  [[nodiscard]] open_region* current_region() const noexcept {
    return __atomic_load_n(&region, __ATOMIC_RELAXED);
  }
  // The region begins at a page, so that an address has the entry that its offset has.
  [[nodiscard]] own_bias& bias_of(const void* mutex) const noexcept {
    return biases[bias_entry(reinterpret_cast<std::uintptr_t>(mutex))];
  }
  void end_region() noexcept;
};

struct thread_attachments {
  const attachment* current; // the one used last; never nullptr
  attachment* first;
};

// Initial-exec: one load relative to the thread pointer, from a shared library too.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local thread_attachments this_thread;

// The calling thread's attachment to the region that holds this address; nullptr if
// there is none.
const attachment* find_attachment(const void* address) noexcept;

// The same, and attaches if there is none. nullptr if that is impossible now: then
// last_attach_failure() has the reason. Ends the process if the address is in no open region.
const attachment* find_or_attach(const void* address) noexcept;

// On system_error, `error` is an errno value.
attach_status attach_thread(open_region& region, int& error) noexcept;
bool detach_thread(open_region& region) noexcept;

// Waits, with the process lock held, until no other thread of this process reads a lock of
// the region that it has just released. False when one still does after a second.
bool await_unlocks(process_state& process, const open_region& region) noexcept;

// A child that fork made is no member of anything. musl leaves the child its parent's robust
// list, whose liveness pages it does not have.
void forget_after_fork() noexcept;

// Called when a thread exits: detaches it from every region, if that can be done now;
// else the kernel marks its liveness words.
void detach_at_exit() noexcept;

} // namespace deadbolt::regions
#endif
