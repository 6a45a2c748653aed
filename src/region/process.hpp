// SPDX-License-Identifier: MIT
// What the threads of one process share about their regions: the lock of the lists of regions,
// attachments and membership locks; these membership locks; and what fork does to both.
#ifndef DEADBOLT_REGION_PROCESS_HPP
#define DEADBOLT_REGION_PROCESS_HPP

#include <base/descriptor.hpp>
#include <cstddef>
#include <cstdint>
#include <region/open_region.hpp>

namespace deadbolt::regions {

struct attachment;

// The proof that a process still exists, for one region's file: an exclusive lock on one byte,
// of an open file description that only a mapping keeps open. No descriptor is left, so that a
// program that closes descriptors keeps it; a forked child has no such mapping (MADV_DONTFORK);
// and the kernel releases it with the process's memory, after the exit walk of each of its
// threads: at exit, at execve, also when the memory was reaped before the walk.
struct membership_lock {
  base::file_identity file;
  process_id process; // the byte
  void* page;         // the mapping; nullptr: this entry is unused. See is_used()

  // Entries change under the process lock, and are read without it.
  [[nodiscard]] bool is_used() const noexcept {
    // order: acquire, pairs with the release in take_membership_lock().
    return __atomic_load_n(&page, __ATOMIC_ACQUIRE) != nullptr;
  }
};

// Lives in a page that the kernel zeroes in a child, also of a bare clone(): the child finds
// the lock free, no attachments and no membership locks.
struct process_state {
  std::uint32_t lock; // 0 free, 1 held, 2 held with waiters; private to the process
  // The TID of the thread that holds the lock over a fork; 0: none.
  std::uint32_t forking_thread;
  // Every thread that is first to use a region stores pid and pid_namespace, all the same values,
  // and needs no lock for it; so read them with the functions below.
  std::uint32_t pid;
  std::uint32_t attachment_count;
  std::uint64_t pid_namespace; // 0: not known
  attachment* attachments;     // of all threads, the dead ones' until they are reaped
  std::uint32_t reap_at;       // attachments that make the next attach reap
  // Members' pages that no member uses, by the attachments in them, for the next members: see
  // member_pages.hpp.
  attachment* spare[16];
  // Whether this process is registered for barriers: 0 not tried yet, 1 yes, 2 refused. Every
  // thread that tries stores the same.
  std::uint32_t barriers;
  membership_lock membership_locks[region::most_open + region::most_open / 2];

  [[nodiscard]] std::uint32_t own_pid() const noexcept {
    return __atomic_load_n(&pid, __ATOMIC_RELAXED);
  }
  [[nodiscard]] std::uint64_t own_pid_namespace() const noexcept {
    return __atomic_load_n(&pid_namespace, __ATOMIC_RELAXED);
  }
  // How this process is named in the slots of this file.
  [[nodiscard]] process_id id_in(const base::file_identity& file) const noexcept;
};

// The state, made at first use; nullptr when there is no memory for it or
// the kernel lacks MADV_WIPEONFORK.
process_state* this_process() noexcept;

// Holds the process lock. Signals must be blocked. A thread inside fork() holds the lock already,
// from the library's fork handler on, and may enter again.
class process_locked {
public:
  explicit process_locked(process_state& state) noexcept;
  process_locked(const process_locked&) = delete;
  process_locked& operator=(const process_locked&) = delete;
  ~process_locked();

private:
  process_state& state_;
  bool entered_again_;
};

// Maps a page of the file, so that the lock that `own` has on a byte of the file lasts as long as
// the mapping, and closes `own`. Returns the mapped page, whose munmap() releases the lock; nullptr
// where a mapping does not keep a lock (overlayfs). `look` is a descriptor of another open file
// description of the file, through which the function checks that the lock is still there.
void* keep_lock(base::descriptor& own, std::int64_t byte, int look) noexcept;

// With the process lock held. Takes the process's membership lock of this file, if it has none
// yet, through `description`, which the function takes over. Sets `alone`, unless it is nullptr, if
// it takes a lock now and no other process has one in the file; else clears it. Returns false when
// the kernel refuses the lock (a process that may only read the file has locked every byte, or a
// sandbox forbids it), and when the lock does not live as long as the mapping, as on overlayfs. The
// process is then known by its PID alone.
bool take_membership_lock(process_state& process, const file_handle& file, int description,
                          bool* alone) noexcept;
// The same for a region that is open. The description is the one that the parent opened for this
// child of fork, or else a new one.
void ensure_membership_lock(process_state& process, open_region& region) noexcept;
// Gives up membership locks of files that this process has neither open nor members in.
void drop_unused_membership_locks(process_state& process) noexcept;

// Has detach_at_exit() called when the calling thread exits, if the libc still has a key for
// that. If not, the kernel's mark ends the membership.
void watch_thread_exit() noexcept;

} // namespace deadbolt::regions
#endif
