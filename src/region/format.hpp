// SPDX-License-Identifier: MIT
// The bytes of a region, the same for every libc and word size (docs/region.md).
//
// Every process that may open the file can write any byte of it. open() reads the geometry
// once, from a private copy of the header, and checks it; every index or kind that comes from
// shared memory later is loaded once and then checked.
#ifndef DEADBOLT_REGION_FORMAT_HPP
#define DEADBOLT_REGION_FORMAT_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <linux/futex.h>

namespace deadbolt::regions {

inline constexpr std::size_t slot_bytes = 4096; // of a slot's struct, at the end of its page
inline constexpr std::uint32_t least_page_bytes = 4096;
inline constexpr std::uint32_t most_page_bytes = 65536;
inline constexpr std::uint32_t format_version = 5;
// Formats from this one on show by membership locks whether anybody uses the file.
inline constexpr std::uint32_t first_version_with_locks = 4;
inline constexpr std::uint32_t default_members = 1024;
inline constexpr std::uint32_t most_members =
    0x3ffe; // slot + 1 has 14 bits; the last is not_recoverable
inline constexpr std::uint64_t most_data_bytes = std::uint64_t{1} << 40;
// Entries of the directory of named objects: in the header, and in a part of its own behind the
// slots, which takes memory only when it is needed.
inline constexpr std::uint32_t named_objects_in_header = 63;
inline constexpr std::uint64_t directory_bytes = 262144; // a multiple of every page size
inline constexpr std::uint32_t named_objects = named_objects_in_header + directory_bytes / 64;
inline constexpr std::uint32_t most_holds = 256; // shared_mutex::most_shared_holds

// Chosen at random.
inline constexpr unsigned char region_magic[16] = {'d',  'e',  'a',  'd',  'b',  'o',  'l',  't',
                                                   0xa7, 0x1c, 0xe4, 0x53, 0x9b, 0x02, 0xd8, 0x6f};

// The part that never changes once the file has its name.
struct fixed_header {
  unsigned char magic[16];
  std::uint32_t version;
  std::uint32_t header_bytes; // of this struct
  std::uint32_t members;
  std::uint32_t page_bytes; // the creator's page size: a power of two, 4096 to 65536
  std::uint64_t slots_offset;
  std::uint64_t data_offset;
  std::uint64_t data_bytes;  // when it was created
  std::uint64_t total_bytes; // of the file when it was created
  unsigned char nonce[16];
  std::uint64_t largest_data_bytes; // up to which the data can grow
  std::uint64_t checksum;           // FNV-1a of the bytes before it
};
static_assert(sizeof(fixed_header) == 96 && offsetof(fixed_header, slots_offset) == 32);

// Where the file was last opened while no other process used it. If it is elsewhere now, this is
// another boot or a copy, and open() cannot judge members without a membership lock.
struct home {
  std::atomic<std::uint64_t> boot_id[2]; // 0: not known
  std::atomic<std::uint64_t> device;
  std::atomic<std::uint64_t> inode;
};

// An object that has a name (region::find_or_construct). Changed under the directory's lock, read
// without it too: bits 2 to 31 of `state` count how often the entry went from unused to another
// object, so that a reader who finds the same `state` before and after has read one object.
//   unused              the entry and, if it had any, the bytes at `offset` are free
//   under_construction  until its constructor, or from its destructor on; also left by a dead one
//   complete
enum class object_state : std::uint32_t { unused = 0, under_construction = 1, complete = 2 };
inline constexpr std::uint32_t object_state_mask = 3;
inline constexpr std::uint32_t object_reuse = 4; // one reuse, in `state`
struct named_object {
  char name[40];
  std::uint64_t offset; // from the start of the data
  std::uint64_t size;
  std::uint32_t state; // object_state and reuses
  std::uint32_t kind;  // detail::object_kind of its type, for tools
};
static_assert(sizeof(named_object) == 64);
inline constexpr object_state state_of(std::uint32_t state) noexcept {
  return static_cast<object_state>(state & object_state_mask);
}

// The first 8192 bytes.
struct region_header {
  fixed_header fixed;
  unsigned char unused[32];
  // Slots below this have been taken at least once, and have memory; it only grows. A writer
  // that looks for readers goes no further.
  std::atomic<std::uint32_t> slots_used;
  // The same for entries of the directory.
  std::atomic<std::uint32_t> names_used;
  // Bytes of data now; it only grows, and the file is that long before it does.
  std::atomic<std::uint64_t> data_bytes;
  std::uint32_t unused_too[12];
  home last_home;
  unsigned char unused_as_well[1824];
  // Bit n: slot n was in use when a thread last looked. A hint that saves attaching threads a
  // search; any value is harmless.
  std::atomic<std::uint64_t> slots_in_use[256];
  alignas(64) std::uint64_t directory_lock[2]; // a deadbolt::mutex
  std::uint64_t unused_at_last[6];
  named_object objects[named_objects_in_header];
};
static_assert(offsetof(region_header, slots_used) == 128);
static_assert(offsetof(region_header, data_bytes) == 136);
static_assert(offsetof(region_header, last_home) == 192);
static_assert(offsetof(region_header, slots_in_use) == 2048);
static_assert(offsetof(region_header, directory_lock) == 4096);
static_assert(sizeof(region_header) == 8192);

// Where in its slot the liveness word is. The word is where its owner's libc expects the lock
// word of a robust mutex whose list links are in the page behind.
enum class liveness_kind : std::uint32_t {
  unset = 0,   // never used: counts as at_4072
  at_4072 = 1, // glibc, 64 bits
  at_4076 = 2, // musl, 64 bits; glibc, 32 bits
  at_4088 = 3, // musl, 32 bits
};

// What a member announces of the mutexes that are biased to it; a mutex at offset n of the region
// has the entry n / 16 % bias_entries. See `biased` below.
struct bias_announcement {
  std::atomic<std::uint32_t> lock;    // announced_name() of the mutex that the member holds, or 0
  std::atomic<std::uint32_t> awaited; // another thread sleeps until `lock` changes
};
inline constexpr std::uint32_t bias_entries = 8;

// The last 4096 bytes of a page for each member. Only the member itself, or the thread that has the
// slot's claim, writes here. The exceptions are the liveness word, the holds, and `awaited` of a
// bias announcement.
struct member_slot {
  std::atomic<std::uint64_t> generation; // 43 bits; advanced before the slot can be reused
  std::atomic<std::uint32_t> kind;       // liveness_kind
  std::atomic<std::uint32_t> pid;        // as the member's own PID namespace counts
  std::atomic<std::uint32_t> tid;
  std::atomic<std::uint32_t> holds_bound;   // holds from this index on are 0
  std::atomic<std::uint64_t> pid_namespace; // inode of /proc/thread-self/ns/pid; 0: not known
  std::atomic<std::int64_t> since;          // CLOCK_REALTIME, nanoseconds, of the attach
  std::atomic<std::uint64_t> process;       // process_id of the member's process
  std::atomic<std::uint64_t> claim;         // process_id of the process that changes the slot, or 0
  unsigned char unused[8];
  // The shared holds that the member announces: 0, or offset of the lock in the region,
  // with hold_awaited. Also written, within the rules of models/region_shared_mutex.pml,
  // by the owner of that lock's writer word.
  std::atomic<std::uint64_t> holds[most_holds];
  bias_announcement biases[bias_entries];
  unsigned char unused_too[slot_bytes - 64 - std::size_t{8} * (most_holds + bias_entries) - 24];
  // musl's pthread_exit reads a mutex type one word before, and a waiter count one
  // word behind, the lock word.
  std::atomic<std::uint32_t> tail[6];
};
static_assert(sizeof(member_slot) == slot_bytes && offsetof(member_slot, tail) == 4072);
static_assert(offsetof(member_slot, holds_bound) == 20 && offsetof(member_slot, holds) == 64);
static_assert(offsetof(member_slot, process) == 40 && offsetof(member_slot, claim) == 48);
static_assert(offsetof(member_slot, biases) == 2112 && sizeof(bias_announcement) == 8);

// A process is named by its membership lock: the byte of the file that it locked, between
// 2^61 and 2^62. The byte is chosen at random and never locked again after the process has
// ended, so an unlocked byte proves that end for ever. A process that cannot have such a lock
// is named by bit 63, the low 31 bits of its PID namespace's inode, and its PID.
using process_id = std::uint64_t;
inline constexpr process_id no_process = 0;
inline constexpr process_id first_lock_byte = process_id{1} << 61;
inline constexpr process_id named_by_pid = process_id{1} << 63;
inline constexpr bool has_membership_lock(process_id process) noexcept {
  return process >= first_lock_byte && process < 2 * first_lock_byte;
}
inline constexpr process_id process_by_pid(std::uint64_t pid_namespace,
                                           std::uint32_t pid) noexcept {
  return named_by_pid | (pid_namespace & 0x7fffffff) << 32 | pid;
}

// The byte that a process locks while it replaces the file under its name by another.
inline constexpr std::int64_t replacement_lock = std::int64_t{1} << 60;
// The byte that a creator locks in a file that has a temporary name, as long as it has that name.
inline constexpr std::int64_t creation_lock = replacement_lock + 1;

// Set in a hold by a writer that sleeps on it and must be woken when the hold ends. Bit 0 is free
// for this: locks are aligned to 8 bytes.
inline constexpr std::uint64_t hold_awaited = 1;

using hold_entry = std::atomic<std::uint64_t>;

// The half of a hold that the kernel compares: the low one (little-endian).
inline const std::uint32_t* futex_of(const hold_entry& entry) noexcept {
  return reinterpret_cast<const std::uint32_t*>(&entry);
}

// The member's hold of this name, nullptr if it has none. An untrusted peer may have written the
// slot: the bound is loaded once and checked.
inline hold_entry* find_hold(member_slot& slot, std::uint64_t name, std::uint64_t& seen) noexcept {
  // order: sequentially consistent, here and below: a writer that took its word, and a
  // reader that announced itself, must not both miss the other.
  std::uint32_t bound = slot.holds_bound.load(std::memory_order_seq_cst);
  if (bound > most_holds) bound = most_holds;
  for (std::uint32_t i = 0; i < bound; ++i) {
    seen = slot.holds[i].load(std::memory_order_seq_cst);
    if ((seen & ~hold_awaited) == name) return &slot.holds[i];
  }
  return nullptr;
}

// The liveness word. Who sets what:
//   0               free: set by a detacher, last, and by an attacher that has to give up
//   TID | WAITERS   a live member: set by the attacher when its node is linked
//   DIED | WAITERS  dead: set by the kernel's exit walk (musl's pthread_exit: DIED alone); by a
//                   process that finds a former member dead when it opens the file; by a detacher
//                   whose slot must be kept for a biased mutex
//   dead_elsewhen   dead: set by a process that opens a file of mixed age; the slot's next member
//                   gets a generation far above this one's (skip_generations())
//   claimed         being attached or detached by the holder of the slot's claim
//   retired         the slot has used up its generations and is never free again
// WAITERS is always there, so that the kernel wakes; waiters never write here.
inline constexpr std::uint32_t liveness_free = 0;
inline constexpr std::uint32_t least_token = std::uint32_t{1} << 22; // above every TID
inline constexpr std::uint32_t liveness_claimed = FUTEX_WAITERS | (least_token + 1);
inline constexpr std::uint32_t liveness_retired = FUTEX_WAITERS | (least_token + 2);
inline constexpr std::uint32_t liveness_dead_elsewhen = FUTEX_OWNER_DIED | FUTEX_WAITERS | 1;

// The word holds a TID and is not marked dead: the kernel would still mark it.
inline constexpr bool is_alive(std::uint32_t life) noexcept {
  const std::uint32_t tid = life & FUTEX_TID_MASK;
  return (life & FUTEX_OWNER_DIED) == 0 && tid != 0 && tid < least_token;
}

// nullptr when the kind is not a liveness_kind.
inline std::atomic<std::uint32_t>* liveness_word(member_slot* slot, std::uint32_t kind) noexcept {
  switch (static_cast<liveness_kind>(kind)) {
  case liveness_kind::unset:
  case liveness_kind::at_4072:
    return &slot->tail[0];
  case liveness_kind::at_4076:
    return &slot->tail[1];
  case liveness_kind::at_4088:
    return &slot->tail[4];
  }
  return nullptr;
}

// The lock word, 64 bits; the low half is the futex.
//   bits 0-13   owner's slot + 1; 0: free; all ones: not recoverable
//   bits 14-29  low bits of the owner's generation
//   bit 30      inconsistent: the owner was told owner_died. Set by the thread that takes
//               the word over from a dead owner, cleared by mark_consistent()
//   bit 31      waiters: set by a waiter before it sleeps, kept by an owner that slept. In a free
//               word: the lock is reserved for long waiters
//   bits 32-58  high bits of the owner's generation
//   bit 62      reserve: a long waiter asks the owner to reserve the lock when it releases it
//   bits 59-62  of a biased word: how often the mutex's bias had been revoked
//   bit 63      plain: the owner will release the word by a plain store. Mutexes only
// A locker sets the owner by compare-exchange of a free word, or of a dead owner's word;
// unlock replaces the whole word by compare-exchange, or by a plain store if the owner is plain.
// (A semaphore's permit can also be released by an exchange.) Zeroed memory is an unlocked mutex.
//
// A mutex's word is followed by 32 bits `waiting`. A waiter that is about to sleep on a plain
// owner sets it to 1, a long waiter to 2, before its membarrier. An owner that is not plain sets it
// to 0 before it releases the word; a 2 counts as the reserve bit.
//
// Reserved: a long waiter is one that has waited for long_wait (waiting.hpp). It also sleeps on the
// high half of the word, where the owner that reserves the lock wakes one of them. All other
// threads leave the lock to the long waiters for a while, then take it: the long waiter may have
// died. The word is free; a program that was built before there were long waiters takes it at once.
//
// Biased: plain and inconsistent, which no other word is at once. The word stays assigned to a
// member that took the mutex often and alone. That member holds the mutex while it announces it
// in its slot (bias_announcement), and else the mutex is free. Another locker revokes the bias
// first: it sets the waiters bit, which the member's next look at the word finds, calls
// membarrier, and then reads the announcement. models/region_bias.pml.
inline constexpr std::uint64_t word_inconsistent = std::uint64_t{1} << 30;
inline constexpr std::uint64_t word_waiters = std::uint64_t{1} << 31;
inline constexpr std::uint64_t word_plain = std::uint64_t{1} << 63;
inline constexpr std::uint64_t word_reserve = std::uint64_t{1} << 62;
inline constexpr unsigned bias_tag_shift = 59;
inline constexpr std::uint64_t word_bias_tag = std::uint64_t{0xf} << bias_tag_shift;
inline constexpr std::uint64_t word_flags =
    word_inconsistent | word_waiters | word_plain | word_bias_tag; // word_reserve is in the tag
inline constexpr std::uint32_t some_wait = 1;                      // values of `waiting`
inline constexpr std::uint32_t some_wait_long = 2;
inline constexpr std::uint64_t word_slot_mask = 0x3fff;
inline constexpr std::uint64_t word_not_recoverable = word_slot_mask;
inline constexpr std::uint64_t last_generation = (std::uint64_t{1} << 43) - 1;

inline constexpr std::uint64_t owner_id(std::uint32_t slot, std::uint64_t generation) noexcept {
  return (slot + std::uint64_t{1}) | (generation & 0xffff) << 14 | (generation >> 16) << 32;
}
inline constexpr std::uint64_t id_of(std::uint64_t word) noexcept {
  return word & ~word_flags;
}
inline constexpr bool is_free(std::uint64_t word) noexcept {
  return (word & word_slot_mask) == 0;
}
inline constexpr bool is_reserved(std::uint64_t word) noexcept {
  return is_free(word) && (word & word_waiters) != 0;
}
inline constexpr bool is_not_recoverable(std::uint64_t word) noexcept {
  return (word & word_slot_mask) == word_not_recoverable;
}
inline constexpr std::uint32_t slot_of(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word & word_slot_mask) - 1;
}
inline constexpr std::uint64_t generation_of(std::uint64_t word) noexcept {
  return (word >> 14 & 0xffff) | (word >> 32 & 0x7ffffff) << 16;
}

// A mutex whose bias was revoked so often gets none again. The tag makes each bias of a mutex a
// different word, so that a compare-exchange that is late by a whole bias fails.
inline constexpr std::uint32_t most_revocations = 16;
inline constexpr std::uint64_t biased_word(std::uint64_t owner,
                                           std::uint32_t revocations) noexcept {
  return owner | word_plain | word_inconsistent | std::uint64_t{revocations} << bias_tag_shift;
}
inline constexpr bool is_biased(std::uint64_t word) noexcept {
  return (word & (word_plain | word_inconsistent)) == (word_plain | word_inconsistent) &&
         !is_free(word) && !is_not_recoverable(word);
}
inline constexpr std::uint32_t bias_tag(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>((word & word_bias_tag) >> bias_tag_shift);
}
// The entry and the name of a mutex at this offset in the region. A name has 32 bits, as a futex
// has; a mutex beyond 16 GiB, which is well within their reach, is never biased.
inline constexpr std::uint64_t most_biased_offset = std::uint64_t{1} << 34;
inline constexpr std::uint32_t bias_entry(std::uint64_t offset) noexcept {
  return static_cast<std::uint32_t>(offset / 16 % bias_entries);
}
inline constexpr std::uint32_t announced_name(std::uint64_t offset) noexcept {
  return static_cast<std::uint32_t>(offset / 8) + 1;
}

// The rest of a shared_mutex. `readers`: bit slot % slot_groups is set before a member
// first announces itself, and never cleared.
inline constexpr std::uint32_t slot_groups = 32;
// `state`, written by the owner of the writer word alone.
inline constexpr std::uint8_t state_outside = 0; // waits for readers, or passes through
inline constexpr std::uint8_t state_writes = 1;
inline constexpr std::uint8_t state_reads_alone = 2; // a reader that was told owner_died

std::uint64_t checksum_of(const fixed_header& header) noexcept;

} // namespace deadbolt::regions
#endif
