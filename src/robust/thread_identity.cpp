// SPDX-License-Identifier: MIT
#include <robust/thread_identity.hpp>

#include <base/message.hpp>
#include <base/robust_list.hpp>
#include <robust/engine.hpp>
#include <robust/libc_layout.hpp>
#include <sys/mman.h>

namespace deadbolt::robust {

constinit thread_local known_identity cached_identity{};

namespace {

constexpr std::size_t mark_page_size = 4096;
constinit const std::uint32_t no_mark = no_process;

// The last mark that this process or an ancestor tried to set: inherited, so that a
// child's is a later one.
constinit std::uint32_t last_mark = no_process;

// The page behind process_mark. Made once; a child that fork made has it wiped
// and marks it anew.
constinit std::uint32_t* mark_page = nullptr;

// Marks this process, unless another of its threads has; returns the mark.
std::uint32_t mark_process() noexcept {
  std::uint32_t* page = __atomic_load_n(&mark_page, __ATOMIC_ACQUIRE);
  if (page == nullptr) {
    void* mapped =
        mmap(nullptr, mark_page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED || madvise(mapped, mark_page_size, MADV_WIPEONFORK) != 0) {
      base::message{}
          .text("cannot map a page that is wiped on fork (MADV_WIPEONFORK, Linux 4.14): locks "
                "could not tell a child from its parent")
          .abort();
    }
    auto* mine = static_cast<std::uint32_t*>(mapped);
    // order: release, for the threads that load mark_page with acquire above.
    if (__atomic_compare_exchange_n(&mark_page, &page, mine, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
      page = mine;
    } else {
      munmap(mapped, mark_page_size);
    }
  }
  std::uint32_t mark = no_process;
  std::uint32_t next = __atomic_add_fetch(&last_mark, 1, __ATOMIC_RELAXED);
  while (next == no_process || next == ~no_process) {
    next = __atomic_add_fetch(&last_mark, 1, __ATOMIC_RELAXED);
  }
  if (__atomic_compare_exchange_n(page, &mark, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    mark = next;
  }
  // A plain pointer that only ever goes from no_mark to the page: a thread that
  // still sees no_mark comes here and finds the same.
  __atomic_store_n(&process_mark, static_cast<const std::uint32_t*>(page), __ATOMIC_RELEASE);
  return mark;
}

bool is_owned_by(robust_list* entry, std::uint32_t tid) noexcept {
  const auto* word = reinterpret_cast<const std::uint32_t*>(
      reinterpret_cast<std::intptr_t>(without_pi_bit(entry)) + libc_futex_offset);
  return (__atomic_load_n(word, __ATOMIC_RELAXED) & FUTEX_TID_MASK) == tid;
}

// In a child whose thread has `head` where its parent's was. The child owns nothing
// that its parent holds, but musl's fork and a bare clone() leave it the parent's
// list, and pushing in front of an inherited entry would write that one's back link,
// in memory shared with the parent.
//
// Entries of the child's own are in front. No inherited entry's link is followed:
// the parent may have freed that memory since. Before the head is registered anew
// there are none of the child's own.
void drop_inherited_entries(robust_list_head* head, std::uint32_t tid) noexcept {
  robust_list* last = &head->list;
  if (base::own_robust_list() == head) {
    int left = 2048; // the most that the kernel would walk
    while (left-- > 0 && !is_head(head, last->next) && is_owned_by(last->next, tid)) {
      last = without_pi_bit(last->next);
    }
  }
  last->next = &head->list;
  head->list_op_pending = nullptr;
}

// `inherited` is the head that this thread had before a fork, if there was one.
robust_list_head* find_head(robust_list_head* inherited) noexcept {
  robust_list_head* head = base::own_robust_list();
  if (head != nullptr) return head;
  if constexpr (libc_registers_on_first_use) {
    base::make_libc_register_robust_list();
    head = base::own_robust_list();
  }
  if (head == nullptr && inherited != nullptr) {
    // A child that the libc's fork did not make: the head is still the libc's, only
    // the kernel has to be told again.
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
  // Cached, yet not current: this is a child.
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
  if (head->futex_offset != libc_futex_offset) {
    base::message{}
        .text("the mutex at ")
        .pointer(lock)
        .text(": the robust list of thread ")
        .number(tid)
        .text(" has futex_offset ")
        .number(head->futex_offset)
        .text(", this libc's mutexes need ")
        .number(libc_futex_offset)
        .text(": another library has replaced the libc's list")
        .abort();
  }
  cached_identity = {.head = head, .tid = tid, .unmarked = ~mark_process()};
  return {head, tid};
}

} // namespace deadbolt::robust
