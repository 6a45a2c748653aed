// SPDX-License-Identifier: MIT
// A thread becomes a member, and ceases to be one. The protocol is models/region_slot.pml;
// tests/region kills it at each instruction.
#include <region/membership.hpp>

#include <base/clock.hpp>
#include <base/futex.hpp>
#include <base/membarrier.hpp>
#include <base/message.hpp>
#include <base/robust_list.hpp>
#include <base/signals.hpp>
#include <errno.h>
#include <limits.h>
#include <optional>
#include <pthread.h>
#include <region/bias.hpp>
#include <region/member_pages.hpp>
#include <region/process.hpp>
#include <region/slots.hpp>
#include <sched.h>

namespace deadbolt::regions {
namespace {

constinit const attachment no_attachment{};

// The thread's robust list head. The attachments have it too, but the kernel wipes their pages in a
// child, whose thread has the head at the same address.
[[gnu::tls_model("initial-exec")]] constinit thread_local robust_list_head* known_head = nullptr;

[[gnu::tls_model("initial-exec")]] constinit thread_local attach_failure failure{
    attach_status::attached, 0};

// How long close() waits for other threads' unlocks, in nanoseconds.
constexpr std::int64_t longest_unlock = 1'000'000'000;

// How often detach looks again at a claim that another thread, of any process, holds.
constexpr int most_looks_at_a_claim = 1000;

// ---- the calling thread's list ----

// A child sees its parent's attachments with no region in them.
void drop_wiped_attachments() noexcept {
  if (this_thread.first != nullptr && this_thread.first->current_region() == nullptr) {
    this_thread.first = nullptr;
    this_thread.current = &no_attachment;
  }
}

attachment* attachment_to(const open_region& region) noexcept {
  drop_wiped_attachments();
  for (attachment* own = this_thread.first; own != nullptr; own = own->next_of_thread) {
    if (own->current_region() == &region) return own;
  }
  return nullptr;
}

void add_to_thread(attachment& added) noexcept {
  drop_wiped_attachments();
  known_head = added.head;
  added.next_of_thread = this_thread.first;
  this_thread.first = &added;
  this_thread.current = &added;
}

void remove_from_thread(const attachment& removed) noexcept {
  this_thread.current = &no_attachment;
  for (attachment** link = &this_thread.first; *link != nullptr; link = &(*link)->next_of_thread) {
    if (*link == &removed) {
      *link = removed.next_of_thread;
      return;
    }
  }
}

// ---- the process's list, under the process lock ----

void add_to_process(process_state& process, attachment& added) noexcept {
  added.next_of_process = process.attachments;
  added.link_of_process = &process.attachments;
  if (added.next_of_process != nullptr) {
    added.next_of_process->link_of_process = &added.next_of_process;
  }
  process.attachments = &added;
  ++process.attachment_count;
}

void remove_from_process(process_state& process, const attachment& removed) noexcept {
  *removed.link_of_process = removed.next_of_process;
  if (removed.next_of_process != nullptr) {
    removed.next_of_process->link_of_process = removed.link_of_process;
  }
  --process.attachment_count;
}

// ---- attach ----

attach_status find_list(robust_list_head*& head) noexcept {
  head = base::own_robust_list();
  if (head == nullptr) {
    base::make_libc_register_robust_list();
    head = base::own_robust_list();
  }
  if (head == nullptr || head->futex_offset != base::libc_futex_offset) {
    return attach_status::no_robust_list;
  }
  // A signal handler interrupted the libc while it changes the list.
  if (head->list_op_pending != nullptr) return attach_status::interrupted_libc;
  return attach_status::attached;
}

bool is_thread_gone(const process_state& process, const attachment& record) noexcept {
  return arch::raw_syscall(SYS_tgkill, process.own_pid(), record.tid, 0) == -ESRCH;
}

// Unmaps what threads that exited without detaching left. With the process lock held.
void reap(process_state& process) noexcept {
  for (attachment* candidate = process.attachments; candidate != nullptr;) {
    attachment* next = candidate->next_of_process;
    if (is_thread_gone(process, *candidate)) {
      remove_from_process(process, *candidate);
      member_pages::of(*candidate).unmap();
    }
    candidate = next;
  }
  // Reap again when there are twice as many attachments: a reap asks the kernel about every thread,
  // and a thousand attaches in a row must not each do that.
  process.reap_at = 2 * process.attachment_count + 16;
}

void enter_region(attachment& record, open_region& region) noexcept {
  record.begin = reinterpret_cast<std::uintptr_t>(region.base.load(std::memory_order_relaxed));
  record.shared_slot = region.slot(record.slot_number);
  for (own_bias& own : record.biases) own = {};
  __atomic_store_n(&record.length, region.length, __ATOMIC_RELAXED);
  __atomic_store_n(&record.region, &region, __ATOMIC_RELAXED);
  this_thread.current = &record;
}

// A child of fork asks the kernel again, for it cannot know whether it is registered.
bool makes_barriers(process_state& process) noexcept {
  std::uint32_t known = __atomic_load_n(&process.barriers, __ATOMIC_RELAXED);
  if (known == 0) {
    known = base::register_for_barriers() == 0 ? 1 : 2;
    __atomic_store_n(&process.barriers, known, __ATOMIC_RELAXED);
  }
  return known == 1;
}

// The slot is claimed, its page mapped: becomes a member.
void publish(open_region& region, const member_pages& pages, const taken_slot& taken,
             robust_list_head* head, process_state& process, process_id own) noexcept {
  member_slot* slot = pages.slot();
  const auto tid = static_cast<std::uint32_t>(arch::raw_syscall(SYS_gettid));
  // order: release; a thread that reads one of these, and not the last member's, finds the new
  // generation afterwards.
  slot->pid.store(process.own_pid(), std::memory_order_release);
  slot->tid.store(tid, std::memory_order_release);
  slot->pid_namespace.store(process.own_pid_namespace(), std::memory_order_release);
  slot->since.store(base::now(true), std::memory_order_relaxed);
  slot->process.store(own, std::memory_order_release);
  if constexpr (!base::is_glibc) {
    // What musl's pthread_exit reads of a mutex: its type, shared (128) and robust (4),
    // and its count of waiters.
    std::atomic<std::uint32_t>* word =
        liveness_word(slot, static_cast<std::uint32_t>(this_libc_kind));
    word[-1].store(132, std::memory_order_relaxed);
    word[1].store(0, std::memory_order_relaxed);
  }
  base::link_front(head, pages.node(), pages.node());
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  // death order: linked, then named by TID: a thread that dies after this is marked.
  // order: release; a thread that sees a live liveness word sees the slot's fields and
  // generation.
  liveness_word(slot, static_cast<std::uint32_t>(this_libc_kind))
      ->store(tid | FUTEX_WAITERS, std::memory_order_release);

  attachment& record = *pages.record();
  record = {}; // spare pages have the last member's
  record.id = owner_id(taken.number, taken.generation);
  record.plain_id = makes_barriers(process) ? record.id | word_plain : record.id;
  record.slot = slot;
  record.head = head;
  record.file = region.file.identity;
  record.process = own;
  record.slot_number = taken.number;
  record.tid = tid;
  add_to_thread(record);
  enter_region(record, region);
}

// The process closed the region while this thread was a member, and has opened it again.
bool come_back(process_state& process, open_region& region) noexcept {
  if (this_thread.first == nullptr) return false;
  process_locked locked{process};
  if (region.base.load(std::memory_order_relaxed) == nullptr) return false;
  for (attachment* own = this_thread.first; own != nullptr; own = own->next_of_thread) {
    if (own->current_region() != &closed_region || own->file != region.file.identity) continue;
    const std::atomic<std::uint32_t>* word =
        liveness_word(own->slot, static_cast<std::uint32_t>(this_libc_kind));
    if (word->load(std::memory_order_relaxed) != (own->tid | FUTEX_WAITERS)) continue;
    enter_region(*own, region);
    return true;
  }
  return false;
}

attach_status become_member(open_region& region, process_state& process, robust_list_head* head,
                            int& error) noexcept {
  taken_slot taken{};
  attachment* spare = nullptr;
  process_id own = no_process;
  attach_status status = attach_status::not_open;
  std::optional<slot_claim> claim;
  {
    process_locked locked{process};
    if (region.base.load(std::memory_order_relaxed) != nullptr) {
      if (process.attachment_count >= process.reap_at) reap(process);
      ensure_membership_lock(process, region);
      watch_thread_exit();
      own = process.id_in(region.file.identity);
      claim.emplace(region.file, own);
      status = take_slot(region, *claim, taken, error);
      if (status == attach_status::attached) {
        spare = take_spare_pages(process, region.file.identity, taken.number);
      }
    }
  }
  if (status != attach_status::attached) return status;
  // What changes the process's mappings is done without the process lock: it may wait for a
  // thousand threads that do the same.
  const member_pages pages = spare != nullptr ? member_pages::of(*spare) : member_pages::map();
  if (spare == nullptr && (!pages.is_mapped() || !pages.show_slot(region, taken.number))) {
    error = pages.is_mapped() ? errno : ENOMEM;
    if (pages.is_mapped()) pages.unmap();
    free_slot(*region.slot(taken.number));
    show_as_free(region, taken.number);
    return attach_status::system_error;
  }
  publish(region, pages, taken, head, process, own);
  process_locked locked{process};
  add_to_process(process, *pages.record());
  return status; // the claim goes last
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

const attachment* find_or_attach(const void* address) noexcept {
  const attachment* found = find_attachment(address);
  if (found != nullptr) return found;
  open_region* region = region_at(address);
  if (region == nullptr) {
    base::message{}
        .text("the lock at ")
        .pointer(address)
        .text(" is in no region that this process has open: make it with "
              "region::find_or_construct(), or use deadbolt::robust_mutex in other shared memory")
        .abort();
  }
  const int before = errno;
  int error = 0;
  static_cast<void>(attach_thread(*region, error));
  errno = before;
  return find_attachment(address);
}

attach_status attach_thread(open_region& region, int& error) noexcept {
  const base::cancellation_deferred deferred;
  error = 0;
  robust_list_head* head = nullptr;
  process_state* process = this_process();
  attach_status status = attach_status::system_error;
  if (process == nullptr) {
    error = ENOMEM;
  } else if (region.read_only) {
    status = attach_status::read_only;
  } else if (status = find_list(head); status == attach_status::attached) {
    base::signals_blocked blocked;
    if (attachment_to(region) == nullptr && !come_back(*process, region)) {
      status = become_member(region, *process, head, error);
    }
  }
  failure = {status, error};
  return status;
}

// ---- detach ----

namespace {

bool end_membership(process_state& process, attachment& own, const file_handle& file) noexcept {
  if (own.head->list_op_pending != nullptr) return false;
  slot_claim claim{file, own.process};
  member_slot& slot = *own.slot;
  // Another thread holds the claim of a live slot for a moment at most, unless it is stopped.
  for (int left = most_looks_at_a_claim; !claim.try_take(slot); --left) {
    if (left == 0) return false;
    sched_yield();
  }
  std::atomic<std::uint32_t>* word =
      liveness_word(&slot, static_cast<std::uint32_t>(this_libc_kind));
  std::uint32_t mine = own.tid | FUTEX_WAITERS;
  // If the word has another value, a hostile peer wrote it: the slot is not this thread's to free.
  const bool intact =
      word->compare_exchange_strong(mine, liveness_claimed, std::memory_order_acq_rel);
  // death order: the token first, so that a walk from here on leaves the word alone,
  // then off the list, then free: never free while a list names it.
  const member_pages pages = member_pages::of(own);
  base::unlink(own.head, pages.node(), pages.node());
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  remove_from_thread(own);
  if (intact) {
    // Locks that are still held are abandoned: their waiters look again.
    base::futex_wake(reinterpret_cast<const std::uint32_t*>(word), INT_MAX);
    if (announces_a_mutex(slot)) {
      // Held by its bias: the slot stays, as a dead member's, until the next owner was told.
      word->store(FUTEX_OWNER_DIED | FUTEX_WAITERS, std::memory_order_release);
    } else {
      free_slot(slot);
    }
  }
  claim.give_back(); // while the slot is mapped
  {
    process_locked locked{process};
    open_region* region = own.current_region();
    remove_from_process(process, own);
    if (intact && region != &closed_region) {
      show_as_free(*region, own.slot_number);
      if (keep_spare_pages(process, own)) return true;
    }
  }
  pages.unmap();
  return true;
}

} // namespace

bool detach_thread(open_region& region) noexcept {
  process_state* process = this_process();
  if (process == nullptr) return false;
  base::signals_blocked blocked;
  attachment* own = attachment_to(region);
  return own != nullptr && end_membership(*process, *own, region.file);
}

void forget_after_fork() noexcept {
  if (this_thread.first == nullptr || this_thread.first->current_region() != nullptr) return;
  drop_wiped_attachments();
  // What is on the list is the parent's. glibc has emptied it; musl has not, and its next robust
  // lock would link itself to a node whose page was wiped.
  known_head->list.next = &known_head->list;
}

void detach_at_exit() noexcept {
  process_state* process = this_process();
  if (process == nullptr) return;
  base::signals_blocked blocked;
  drop_wiped_attachments();
  for (attachment* own = this_thread.first; own != nullptr;) {
    attachment* next = own->next_of_thread;
    file_handle file{.descriptor = -1, .identity = own->file};
    {
      // Another thread may close the region meanwhile. A descriptor that it closes names another
      // file at worst, which is_process_gone() notices.
      process_locked locked{*process};
      const open_region& region = *own->current_region();
      if (&region != &closed_region) {
        file.descriptor = __atomic_load_n(&region.file.descriptor, __ATOMIC_RELAXED);
      }
    }
    // If this fails the kernel marks the liveness word.
    static_cast<void>(end_membership(*process, *own, file));
    own = next;
  }
}

bool await_unlocks(process_state& process, const open_region& region) noexcept {
  reap(process);
  const std::int64_t end = base::now() + longest_unlock;
  for (const attachment* other = process.attachments; other != nullptr;
       other = other->next_of_process) {
    if (other->current_region() != &region) continue;
    // order: acquire, pairs with the end of unlock(): the thread has made its last load.
    while (__atomic_load_n(&other->in_unlock, __ATOMIC_ACQUIRE) != 0) {
      if (base::now() >= end) return false;
      sched_yield(); // the thread has a few instructions left to run
    }
  }
  return true;
}

} // namespace deadbolt::regions

namespace deadbolt {

attach_failure DEADBOLT_ABI::last_attach_failure() noexcept {
  return regions::failure;
}

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
  case attach_status::read_only:
    return "read_only";
  }
  return "unknown";
}

} // namespace deadbolt
