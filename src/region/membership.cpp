// SPDX-License-Identifier: MIT
// A thread becomes a member, and ceases to be one. The protocol is models/region_slot.pml;
// tests/region kills it at each instruction.
#include <region/membership.hpp>

#include <base/clock.hpp>
#include <base/futex.hpp>
#include <base/membarrier.hpp>
#include <base/message.hpp>
#include <base/robust_list.hpp>
#include <base/robust_list_links.hpp>
#include <base/signals.hpp>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <region/process.hpp>
#include <region/slots.hpp>
#include <sched.h>
#include <sys/mman.h>

namespace deadbolt::regions {
namespace {

constinit const attachment no_attachment{};

// Kept apart from the attachments, whose pages are wiped in a child: where the thread's
// list head is. A child's thread has it at the same address.
[[gnu::tls_model("initial-exec")]] constinit thread_local robust_list_head* known_head = nullptr;

// A child sees its parent's attachments with no region in them.
void drop_wiped_attachments() noexcept {
  if (this_thread.first != nullptr && this_thread.first->current_region() == nullptr) {
    this_thread.first = nullptr;
    this_thread.current = &no_attachment;
  }
}

} // namespace

constinit thread_local thread_attachments this_thread{&no_attachment, nullptr};

void attachment::end_region() noexcept {
  __atomic_store_n(&length, std::size_t{0}, __ATOMIC_RELAXED);
  __atomic_store_n(&region, &closed_region, __ATOMIC_RELAXED);
}

const attachment* find_attachment(const void* address) noexcept {
  drop_wiped_attachments();
  for (const attachment* candidate = this_thread.first; candidate != nullptr;
       candidate = candidate->next_of_thread) {
    if (candidate->covers(address)) {
      this_thread.current = candidate;
      return candidate;
    }
  }
  return nullptr;
}

const attachment& require_attachment(const void* address) noexcept {
  const attachment* found = find_attachment(address);
  if (found != nullptr) return *found;
  open_region* region = region_at(address);
  if (region == nullptr) {
    base::message{}
        .text("the lock at ")
        .pointer(address)
        .text(" is in no region that this process has open: make it with "
              "region::find_or_construct(), or use deadbolt::robust_mutex in other shared memory")
        .abort();
  }
  const int error = errno;
  const attach_status status = attach_thread(*region);
  errno = error;
  found = find_attachment(address);
  if (status != attach_status::attached || found == nullptr) {
    base::message{}
        .text("the thread cannot become a member of the region of the mutex at ")
        .pointer(address)
        .text(": ")
        .text(to_string(status))
        .text("; call region::attach() first to handle this")
        .abort();
  }
  return *found;
}

void add_to_thread(attachment& added) noexcept {
  drop_wiped_attachments();
  known_head = added.head;
  added.next_of_thread = this_thread.first;
  this_thread.first = &added;
  this_thread.current = &added;
}

void remove_from_thread(attachment& removed) noexcept {
  this_thread.current = &no_attachment;
  for (attachment** link = &this_thread.first; *link != nullptr; link = &(*link)->next_of_thread) {
    if (*link == &removed) {
      *link = removed.next_of_thread;
      return;
    }
  }
}

void forget_after_fork() noexcept {
  if (this_thread.first == nullptr || this_thread.first->current_region() != nullptr) return;
  drop_wiped_attachments();
  // What is on the list is the parent's. glibc has emptied it; musl has not, and
  // would write back links into life pages that are not mapped here.
  known_head->list.next = &known_head->list;
}

void detach_at_exit() noexcept {
  for (attachment* own = this_thread.first; own != nullptr;) {
    attachment* next = own->next_of_thread;
    static_cast<void>(
        detach_thread(*own->current_region())); // else the kernel marks the liveness word
    own = next;
  }
}

namespace {

// The liveness word ends a shared page; `prev` and `next`, which the kernel and the libc
// follow, are where this libc expects them behind a lock word, and that is in the
// private page behind. Every libc's node has its word within one page's end:
//   glibc 64 bits  word 4072, prev 4096, next 4104   (next - word = 32)
//   musl  64 bits  word 4076, prev 4096, next 4104   (28)
//   glibc 32 bits  word 4076,            next 4096   (20, singly linked)
//   musl  32 bits  word 4088, prev 4096, next 4100   (12)
// The private page's first bytes.
struct private_links {
  void* words[2];
};

inline robust_list* node_of(private_links* links) noexcept {
  return reinterpret_cast<robust_list*>(&links->words[base::has_back_links ? 1 : 0]);
}

// How long close() waits for other threads' unlocks, in nanoseconds.
constexpr std::int64_t longest_unlock = 1'000'000'000;

// A life page and the private page behind it.
struct page_pair {
  std::byte* base;

  [[nodiscard]] private_links* links() const noexcept {
    return reinterpret_cast<private_links*>(base + page_bytes);
  }
  [[nodiscard]] attachment* record() const noexcept {
    return reinterpret_cast<attachment*>(base + page_bytes + 64);
  }
};

page_pair map_pair() noexcept {
  void* base = mmap(nullptr, 2 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return {nullptr};
  auto* bytes = static_cast<std::byte*>(base);
  if (mprotect(bytes + page_bytes, page_bytes, PROT_READ | PROT_WRITE) == 0 &&
      madvise(bytes + page_bytes, page_bytes, MADV_WIPEONFORK) == 0) {
    return {bytes};
  }
  munmap(base, 2 * page_bytes);
  return {nullptr};
}

bool map_life_page(const page_pair& pages, const open_region& region, std::uint32_t slot) noexcept {
  const auto offset = static_cast<off_t>(region.slots_offset + std::uint64_t{slot} * page_bytes);
  // DONTFORK: in a child the links lead nowhere, and its kernel's walk ends there.
  return mmap(pages.base, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
              region.descriptor, offset) != MAP_FAILED &&
         madvise(pages.base, page_bytes, MADV_DONTFORK) == 0;
}

attach_status find_list(robust_list_head*& head) noexcept {
  head = base::own_robust_list();
  if (head == nullptr) {
    base::make_libc_register_robust_list();
    head = base::own_robust_list();
  }
  if (head == nullptr || head->futex_offset != base::libc_futex_offset) {
    return attach_status::no_robust_list;
  }
  // A handler interrupted the libc while it changes the list.
  if (head->list_op_pending != nullptr) return attach_status::interrupted_libc;
  return attach_status::attached;
}

attachment* attachment_to(const open_region& region) noexcept {
  for (attachment* own = this_thread.first; own != nullptr; own = own->next_of_thread) {
    if (own->current_region() == &region) return own;
  }
  return nullptr;
}

// Unmaps what threads that exited without detaching left. With the process lock held.
void reap(process_state& process) noexcept {
  for (attachment** link = &process.attachments; *link != nullptr;) {
    attachment* candidate = *link;
    if (arch::raw_syscall(SYS_tgkill, process.own_pid(), candidate->tid, 0) == -ESRCH) {
      *link = candidate->next_of_process;
      munmap(candidate->slot, 2 * page_bytes);
    } else {
      link = &candidate->next_of_process;
    }
  }
}

void forget(process_state& process, const attachment& gone) noexcept {
  for (attachment** link = &process.attachments; *link != nullptr;
       link = &(*link)->next_of_process) {
    if (*link == &gone) {
      *link = gone.next_of_process;
      return;
    }
  }
}

// The slot is claimed, its life page mapped: becomes a member.
void publish(open_region& region, const page_pair& pages, const taken_slot& taken,
             robust_list_head* head, process_state& process) noexcept {
  auto* slot = reinterpret_cast<member_slot*>(pages.base);
  const auto tid = static_cast<std::uint32_t>(arch::raw_syscall(SYS_gettid));
  slot->pid.store(process.own_pid(), std::memory_order_relaxed);
  slot->tid.store(tid, std::memory_order_relaxed);
  slot->pid_namespace.store(process.own_pid_namespace(), std::memory_order_relaxed);
  slot->since.store(base::now(true), std::memory_order_relaxed);
  if constexpr (!base::is_glibc) {
    // What musl's pthread_exit reads of a mutex: its type, shared (128) and robust (4),
    // and its count of waiters.
    std::atomic<std::uint32_t>* word =
        liveness_word(slot, static_cast<std::uint32_t>(this_libc_kind));
    word[-1].store(132, std::memory_order_relaxed);
    word[1].store(0, std::memory_order_relaxed);
  }
  base::link_front(head, node_of(pages.links()), node_of(pages.links()));
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  // death order: linked, then named by TID: whoever dies after this is marked.
  // order: release; who sees a live liveness word sees the slot's fields and generation.
  liveness_word(slot, static_cast<std::uint32_t>(this_libc_kind))
      ->store(tid | FUTEX_WAITERS, std::memory_order_release);

  attachment& record = *pages.record();
  record.begin = reinterpret_cast<std::uintptr_t>(region.base.load(std::memory_order_relaxed));
  record.length = region.length;
  record.id = owner_id(taken.number, taken.generation);
  // Again in each process: whether a child of fork is registered is not said.
  record.plain_id = base::register_for_barriers() == 0 ? record.id | word_plain : record.id;
  record.shared_slot = region.slot(taken.number);
  record.region = &region;
  record.slot = slot;
  record.head = head;
  record.generation = taken.generation;
  record.slot_number = taken.number;
  record.tid = tid;
  record.next_of_process = process.attachments;
  process.attachments = &record;
  add_to_thread(record);
}

} // namespace

attach_status attach_thread(open_region& region) noexcept {
  robust_list_head* head = nullptr;
  process_state* process = this_process();
  if (process == nullptr) return attach_status::system_error;
  const attach_status listed = find_list(head);
  if (listed != attach_status::attached) return listed;
  base::signals_blocked blocked;
  process_locked locked{*process};
  static_cast<void>(find_attachment(nullptr)); // drops what a parent left
  if (attachment_to(region) != nullptr) return attach_status::attached;
  if (region.base.load(std::memory_order_relaxed) == nullptr) return attach_status::not_open;
  reap(*process);
  slot_claim claim{region};
  if (claim.error() != attach_status::attached) return claim.error();
  const page_pair pages = map_pair();
  if (pages.base == nullptr) return attach_status::system_error;
  attach_status status = attach_status::system_error;
  if (watch_thread_exit()) {
    taken_slot taken{};
    if (!take_slot(region, claim, taken)) {
      status = attach_status::table_full;
    } else if (map_life_page(pages, region, taken.number)) {
      publish(region, pages, taken, head, *process);
      return attach_status::attached; // the claim goes last
    } else {
      free_slot(*region.slot(taken.number));
    }
  }
  munmap(pages.base, 2 * page_bytes);
  return status;
}

bool detach_thread(open_region& region) noexcept {
  process_state* process = this_process();
  if (process == nullptr) return false;
  base::signals_blocked blocked;
  process_locked locked{*process};
  return detach_locked(*process, region);
}

bool detach_locked(process_state& process, open_region& region) noexcept {
  static_cast<void>(find_attachment(nullptr));
  attachment* own = attachment_to(region);
  if (own == nullptr || own->head->list_op_pending != nullptr) return false;
  slot_claim claim{region};
  if (claim.error() != attach_status::attached) return false;
  // Another holds the claim of a live slot for a moment at most, unless it is stopped.
  for (int left = 1000; !claim.try_take(own->slot_number); --left) {
    if (left == 0) return false;
    sched_yield();
  }
  member_slot& slot = *own->slot;
  std::atomic<std::uint32_t>* word =
      liveness_word(&slot, static_cast<std::uint32_t>(this_libc_kind));
  std::uint32_t mine = own->tid | FUTEX_WAITERS;
  // A stranger wrote to the word if it is not ours: then the slot is not ours to free.
  const bool whole =
      word->compare_exchange_strong(mine, liveness_claimed, std::memory_order_acq_rel);
  // death order: the token first, so that a walk from here on leaves the word alone,
  // then off the list, then free: never free while a list names it.
  robust_list* node = node_of(page_pair{reinterpret_cast<std::byte*>(own->slot)}.links());
  base::unlink(own->head, node, node);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  remove_from_thread(*own);
  forget(process, *own);
  if (whole) {
    // Locks that are still held are abandoned: their waiters look again.
    base::futex_wake(reinterpret_cast<const std::uint32_t*>(word), INT_MAX);
    free_slot(slot);
  }
  munmap(own->slot, 2 * page_bytes);
  return true;
}

bool await_unlocks(process_state& process, const open_region& region) noexcept {
  reap(process);
  const std::int64_t end = base::now() + longest_unlock;
  for (const attachment* other = process.attachments; other != nullptr;
       other = other->next_of_process) {
    if (other->current_region() != &region) continue;
    // order: acquire, pairs with the end of unlock(): what it reads it has read.
    while (__atomic_load_n(&other->in_unlock, __ATOMIC_ACQUIRE) != 0) {
      if (base::now() >= end) return false;
      sched_yield(); // a few instructions of its are left to run
    }
  }
  return true;
}

} // namespace deadbolt::regions

namespace deadbolt {

const char* DEADBOLT_ABI::to_string(attach_status status) noexcept {
  switch (status) {
  case attach_status::attached:
    return "attached";
  case attach_status::table_full:
    return "table_full";
  case attach_status::interrupted_libc:
    return "interrupted_libc";
  case attach_status::descriptor_lost:
    return "descriptor_lost";
  case attach_status::no_robust_list:
    return "no_robust_list";
  case attach_status::not_open:
    return "not_open";
  case attach_status::system_error:
    return "system_error";
  }
  return "unknown";
}

} // namespace deadbolt
