// SPDX-License-Identifier: MIT
#include <robust/thread_identity.hpp>

#include <base/fork_page.hpp>
#include <base/message.hpp>
#include <base/robust_list.hpp>
#include <robust/engine.hpp>

namespace deadbolt::robust {

constinit thread_local known_identity cached_identity{};

namespace {

constinit const std::uint32_t no_mark = no_process;

// The last mark that this process or an ancestor tried to set. A child inherits the number, so
// that its own mark is a later one.
constinit std::uint32_t last_mark = no_process;

constinit void* mark_page = nullptr;

// Marks this process, unless another of its threads has done so; returns the mark.
std::uint32_t mark_process() noexcept {
  bool made;
  auto* page = static_cast<std::uint32_t*>(base::fork_page(mark_page, made));
  if (page == nullptr) {
    base::message{}
        .text("cannot map a page that is wiped on fork (MADV_WIPEONFORK, Linux 4.14): locks "
              "could not tell a child from its parent")
        .abort();
  }
  std::uint32_t mark = no_process;
  std::uint32_t next = __atomic_add_fetch(&last_mark, 1, __ATOMIC_RELAXED);
  while (next == no_process || next == ~no_process) {
    next = __atomic_add_fetch(&last_mark, 1, __ATOMIC_RELAXED);
  }
  if (__atomic_compare_exchange_n(page, &mark, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    mark = next;
  }
  // The pointer changes once, from no_mark to the page: a thread that still sees no_mark
  // comes here and finds the same page.
  __atomic_store_n(&process_mark, static_cast<const std::uint32_t*>(page), __ATOMIC_RELEASE);
  return mark;
}

bool is_owned_by(robust_list* entry, std::uint32_t tid) noexcept {
  const auto* word = reinterpret_cast<const std::uint32_t*>(
      reinterpret_cast<std::intptr_t>(base::without_pi_bit(entry)) + base::libc_futex_offset);
  return (__atomic_load_n(word, __ATOMIC_RELAXED) & FUTEX_TID_MASK) == tid;
}

// For a forked child, whose `head` is at the same address as its parent's. The child owns none of
// the parent's locks, but after musl's fork or a bare clone() its list still has the parent's
// entries. If the child linked a node in front of such an entry, it would write the entry's back
// link, in memory that it shares with the parent.
//
// Entries that the child itself made are in front. No inherited entry's link is followed: the
// parent may have freed that memory since.
void drop_inherited_entries(robust_list_head* head, std::uint32_t tid) noexcept {
  robust_list* last = &head->list;
  // A child that has not registered the head with the kernel has made no entries: all are dropped.
  if (base::own_robust_list() == head) {
    int left = 2048; // the most that the kernel would walk
    while (left-- > 0 && !base::is_head(head, last->next) && is_owned_by(last->next, tid)) {
      last = base::without_pi_bit(last->next);
    }
  }
  last->next = &head->list;
  head->list_op_pending = nullptr;
}

// `inherited` is the head that this thread had before a fork, if there was one.
robust_list_head* find_head(robust_list_head* inherited) noexcept {
  robust_list_head* head = base::own_robust_list();
  if (head != nullptr) return head;
  if constexpr (!base::is_glibc) {
    base::make_libc_register_robust_list(); // musl does so at the thread's first robust lock
    head = base::own_robust_list();
  }
  if (head == nullptr && inherited != nullptr) {
    // A child of a bare clone(): the libc's head is still valid, and only has to be
    // registered with the kernel again.
    arch::raw_syscall(SYS_set_robust_list, inherited, sizeof *inherited);
    head = base::own_robust_list();
  }
  return head;
}

} // namespace

constinit const std::uint32_t* process_mark = &no_mark;

thread_identity look_up_identity(const void* lock) noexcept {
  static_cast<void>(this_engine());
  const auto tid = static_cast<std::uint32_t>(arch::raw_syscall(SYS_gettid));
  // If there is a cached identity that is_known_thread() refused, it is the parent's, and this is
  // a forked child.
  robust_list_head* inherited = cached_identity.unmarked != 0 ? cached_identity.head : nullptr;
  if (inherited != nullptr) drop_inherited_entries(inherited, tid);
  robust_list_head* head = find_head(inherited);
  if (head == nullptr) {
    base::message{}
        .text("the mutex at ")
        .pointer(lock)
        .text(": thread ")
        .number(tid)
        .text(" has no robust list (get_robust_list gives none): robust locks are for threads "
              "that the libc made, on a kernel and in a sandbox that allow set_robust_list")
        .abort();
  }
  if (head->futex_offset != base::libc_futex_offset) {
    base::message{}
        .text("the mutex at ")
        .pointer(lock)
        .text(": the robust list of thread ")
        .number(tid)
        .text(" has futex_offset ")
        .number(head->futex_offset)
        .text(", this libc's mutexes need ")
        .number(base::libc_futex_offset)
        .text(": another library has replaced the libc's list")
        .abort();
  }
  cached_identity = {.head = head, .tid = tid, .unmarked = ~mark_process()};
  return {head, tid};
}

} // namespace deadbolt::robust
