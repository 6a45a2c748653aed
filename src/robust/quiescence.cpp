// SPDX-License-Identifier: MIT
#include <robust/quiescence.hpp>

#include <cstddef>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <robust/libc_layout.hpp>
#include <sched.h>
#include <sys/clock.hpp>
#include <sys/message.hpp>
#include <sys/mman.h>
#include <sys/robust_list.hpp>
#include <sys/uio.h>
#include <unistd.h>

namespace deadbolt {
namespace {

// On 64-bit, libc's struct is what getdents64 writes.
static_assert(offsetof(dirent, d_reclen) == 16 && offsetof(dirent, d_name) == 19);

pid_t to_tid(const char* name) noexcept {
  pid_t tid = 0;
  for (; *name >= '0' && *name <= '9'; ++name) tid = tid * 10 + (*name - '0');
  return tid; // 0 for "." and ".."
}

// Whether thread `tid` has a pending entry in the memory. It may exit meanwhile
// and its head be unmapped, so the kernel does the reading. A thread that has no
// head, or is gone, has nothing pending.
//
// order: the thread stored list_op_pending before it released the word; whoever
// destroys the lock has seen the release, so it sees that store, or a later one.
bool is_pending(pid_t tid, std::uintptr_t first, std::size_t length, int& error) noexcept {
  robust_list_head* head = sys::registered_robust_list(tid);
  if (head == nullptr) return false;
  std::uintptr_t pending = 0;
  const iovec local{&pending, sizeof pending};
  const iovec remote{&head->list_op_pending, sizeof pending};
  const long count = arch::raw_syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0);
  if (count == -EFAULT || count == -ESRCH) return false;
  if (count != static_cast<long>(sizeof pending)) {
    error = static_cast<int>(-count);
    return false;
  }
  // The entry is at the end of the lock, its word at the beginning: either inside
  // means that the lock is.
  const std::uintptr_t entry = pending & ~robust::pi_bit;
  if (entry == 0) return false;
  const std::uintptr_t word = entry + static_cast<std::uintptr_t>(robust::libc_futex_offset);
  return entry - first < length || word - first < length;
}

void look_at_threads(int directory, std::uintptr_t first, std::size_t length,
                     quiescence_result& result) noexcept {
  const auto self = static_cast<pid_t>(arch::raw_syscall(SYS_gettid));
  result.in_flight_count = 0;
  alignas(dirent) char buffer[4096];
  arch::raw_syscall(SYS_lseek, directory, 0, SEEK_SET);
  for (;;) {
    const long filled = arch::raw_syscall(SYS_getdents64, directory, buffer, sizeof buffer);
    if (filled <= 0) {
      if (filled < 0) result.error = static_cast<int>(-filled);
      return;
    }
    for (long at = 0; at < filled;) {
      const auto* entry = reinterpret_cast<const dirent*>(buffer + at);
      // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): the kernel filled it
      at += entry->d_reclen;
      const pid_t tid = to_tid(entry->d_name);
      if (tid == 0 || tid == self || !is_pending(tid, first, length, result.error)) continue;
      if (result.in_flight_count < quiescence_result::max_reported) {
        result.in_flight[result.in_flight_count] = tid;
      }
      ++result.in_flight_count;
    }
  }
}

} // namespace

quiescence_result wait_for_unlocks(const void* address, std::size_t length,
                                   std::chrono::nanoseconds timeout) noexcept {
  quiescence_result result{};
  const int directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    result.status = quiescence_status::unavailable;
    result.error = errno;
    return result;
  }
  const std::int64_t start = sys::now();
  for (;;) {
    look_at_threads(directory, reinterpret_cast<std::uintptr_t>(address), length, result);
    if (result.error != 0) {
      result.status = quiescence_status::unavailable;
      break;
    }
    if (result.in_flight_count == 0) {
      result.status = quiescence_status::quiescent;
      break;
    }
    if (sys::now() - start >= timeout.count()) {
      result.status = quiescence_status::timed_out;
      break;
    }
    // A few instructions of theirs are left to run, so let them.
    sched_yield();
  }
  close(directory);
  return result;
}

quiescence_result unmap(void* address, std::size_t length,
                        std::chrono::nanoseconds timeout) noexcept {
  quiescence_result result = wait_for_unlocks(address, length, timeout);
  if (result.status == quiescence_status::quiescent && munmap(address, length) != 0) {
    result.status = quiescence_status::unavailable;
    result.error = errno;
  }
  return result;
}

void robust::await_destruction(const char* what, const void* address, std::size_t size) noexcept {
  const quiescence_result result = wait_for_unlocks(address, size);
  if (result.status != quiescence_status::timed_out) return;
  sys::message line;
  line.text(what).text(" at ").pointer(address).text(" while in use by ");
  line.number(result.in_flight_count).text(" thread(s) of this process:");
  for (std::uint32_t i = 0; i < result.in_flight_count && i < quiescence_result::max_reported;
       ++i) {
    line.text(" ").number(result.in_flight[i]);
  }
  line.abort();
}

} // namespace deadbolt
