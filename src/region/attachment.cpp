// SPDX-License-Identifier: MIT
#include <region/attachment.hpp>

#include <base/message.hpp>
#include <errno.h>
#include <region/robust_node.hpp>

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
        .text("the mutex at ")
        .pointer(address)
        .text(" is in no region that this process has open")
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

} // namespace deadbolt::regions

namespace deadbolt {

const char* to_string(attach_status status) noexcept {
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
