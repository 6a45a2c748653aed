// SPDX-License-Identifier: MIT
#include <robust/quiescence.hpp>

#include <base/clock.hpp>
#include <base/file.hpp>
#include <base/message.hpp>
#include <base/robust_list.hpp>
#include <cstddef>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

namespace deadbolt {
namespace {

// On 64-bit, libc's struct dirent has the layout that getdents64 writes.
static_assert(offsetof(dirent, d_reclen) == 16 && offsetof(dirent, d_name) == 19);

pid_t to_tid(const char* name) noexcept {
  pid_t tid = 0;
  for (; *name >= '0' && *name <= '9'; ++name) tid = tid * 10 + (*name - '0');
  return tid; // 0 for "." and ".."
}

// Whether thread `tid` has a pending entry in the memory. The thread may exit meanwhile
// and its head be unmapped, so the kernel does the reading. A thread that has no
// head, or has ended, has nothing pending.
//
// order: the thread stored list_op_pending before it released the word. The caller, which
// destroys the lock, has seen the release, so it sees that store or a later one.
bool is_pending(pid_t tid, pid_t caller, std::uintptr_t first, std::size_t length,
                int& error) noexcept {
  robust_list_head* head = nullptr;
  const long found = base::get_robust_list(tid, head);
  if (found != 0 && found != -ESRCH) error = static_cast<int>(-found);
  if (found != 0 || head == nullptr) return false;
  std::uintptr_t pending = 0;
  const iovec local{&pending, sizeof pending};
  const iovec remote{&head->list_op_pending, sizeof pending};
  // By the caller's TID, not its PID: once the first thread has ended, the PID belongs to a task
  // without memory.
  const long count = arch::raw_syscall(SYS_process_vm_readv, caller, &local, 1, &remote, 1, 0);
  if (count == -EFAULT || count == -ESRCH) return false;
  if (count != static_cast<long>(sizeof pending)) {
    error = static_cast<int>(-count);
    return false;
  }
  // The entry is at the end of the lock and the lock word at the beginning: the lock is in the
  // memory if either of them is.
  const std::uintptr_t entry = pending & ~base::pi_bit;
  if (entry == 0) return false;
  const std::uintptr_t word = entry + static_cast<std::uintptr_t>(base::libc_futex_offset);
  return entry - first < length || word - first < length;
}

// The TIDs of one pass over the threads, in the kernel's order.
struct pass {
  std::uint64_t fingerprint = 0xcbf29ce484222325; // FNV-1a
  bool saw_caller = false;

  void add(pid_t tid, pid_t caller) noexcept {
    constexpr std::uint64_t prime = 0x100000001b3;
    fingerprint = (fingerprint ^ static_cast<std::uint32_t>(tid)) * prime;
    if (tid == caller) saw_caller = true;
  }
};

pass look_at_threads(int directory, std::uintptr_t first, std::size_t length,
                     quiescence_result& result) noexcept {
  const auto self = static_cast<pid_t>(arch::raw_syscall(SYS_gettid));
  pass seen;
  result.in_flight_count = 0;
  alignas(dirent) char buffer[4096] = {};
  arch::raw_syscall(SYS_lseek, directory, 0, SEEK_SET);
  for (;;) {
    const long filled = arch::raw_syscall(SYS_getdents64, directory, buffer, sizeof buffer);
    if (filled < 0) result.error = static_cast<int>(-filled);
    if (filled <= 0) break;
    for (long at = 0; at < filled;) {
      const auto* entry = reinterpret_cast<const dirent*>(buffer + at);
      at += entry->d_reclen;
      const pid_t tid = to_tid(entry->d_name);
      if (tid == 0) continue;
      seen.add(tid, self);
      if (tid == self || !is_pending(tid, self, first, length, result.error)) continue;
      if (result.in_flight_count < quiescence_result::max_reported) {
        result.in_flight[result.in_flight_count] = tid;
      }
      ++result.in_flight_count;
    }
  }
  return seen;
}

// Looks until no thread is in flight or the time is over; fills in `result`.
void wait_for_threads(int directory, std::uintptr_t first, std::size_t length,
                      std::chrono::nanoseconds timeout, quiescence_result& result) noexcept {
  const std::int64_t start = base::now();
  // One pass is not enough: the kernel finds its place in the list of threads by counting, so a
  // thread that exits during a pass makes the pass skip later threads, perhaps the caller itself.
  // If the next pass sees the same threads, none of them has exited, and both passes were complete.
  bool nobody_was_in_flight = false;
  std::uint64_t last_fingerprint = 0;
  for (;;) {
    const pass seen = look_at_threads(directory, first, length, result);
    const bool is_complete = seen.fingerprint == last_fingerprint;
    // The caller is not among them: this /proc belongs to another PID namespace, and its numbers
    // are not this process's TIDs.
    if (result.error == 0 && is_complete && !seen.saw_caller) result.error = ESRCH;
    if (result.error != 0) {
      result.status = quiescence_status::unavailable;
      return;
    }
    if (nobody_was_in_flight && is_complete) {
      result.in_flight_count = 0;
      result.status = quiescence_status::quiescent;
      return;
    }
    const bool nobody_is_in_flight = seen.saw_caller && result.in_flight_count == 0;
    // Even after the time-out, a pass that must be confirmed gets one more.
    const bool confirm =
        seen.saw_caller ? nobody_is_in_flight && !nobody_was_in_flight : last_fingerprint == 0;
    nobody_was_in_flight = nobody_is_in_flight;
    last_fingerprint = seen.fingerprint;
    if (confirm) continue;
    if (base::now() - start >= timeout.count()) {
      if (nobody_is_in_flight || !seen.saw_caller) result.error = EAGAIN;
      result.status =
          result.error != 0 ? quiescence_status::unavailable : quiescence_status::timed_out;
      return;
    }
    // Those threads have a few instructions left to run.
    sched_yield();
  }
}

} // namespace

quiescence_result DEADBOLT_ABI::wait_for_unlocks(const void* address, std::size_t length,
                                                 std::chrono::nanoseconds timeout) noexcept {
  quiescence_result result{};
  const base::descriptor directory{base::open_file("/proc/self/task", O_RDONLY | O_DIRECTORY)};
  if (!directory) {
    result.status = quiescence_status::unavailable;
    result.error = -directory.get();
    return result;
  }
  wait_for_threads(directory.get(), reinterpret_cast<std::uintptr_t>(address), length, timeout,
                   result);
  return result;
}

quiescence_result DEADBOLT_ABI::unmap(void* address, std::size_t length,
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
  base::message line;
  line.text(what).text(" at ").pointer(address).text(" while in use by ");
  line.number(result.in_flight_count).text(" thread(s) of this process:");
  for (std::uint32_t i = 0; i < result.in_flight_count && i < quiescence_result::max_reported;
       ++i) {
    line.text(" ").number(result.in_flight[i]);
  }
  line.abort();
}

} // namespace deadbolt
