// SPDX-License-Identifier: MIT
#include <region/process.hpp>

#include <base/file.hpp>
#include <base/fork_page.hpp>
#include <base/futex.hpp>
#include <base/random.hpp>
#include <base/signals.hpp>
#include <pthread.h>
#include <region/membership.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace deadbolt::regions {
namespace {

static_assert(sizeof(process_state) <= base::fork_page_size);

constinit void* state_page = nullptr;
constinit pthread_key_t exit_key{};
constinit std::uint32_t exit_key_made = 0;

void take(std::uint32_t* lock) noexcept {
  std::uint32_t expected = 0;
  if (__atomic_compare_exchange_n(lock, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    return;
  }
  while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE) != 0) {
    arch::raw_syscall(SYS_futex, lock, FUTEX_WAIT_PRIVATE, 2, nullptr);
  }
}

void give(std::uint32_t* lock) noexcept {
  if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2) {
    arch::raw_syscall(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1);
  }
}

std::uint32_t own_tid() noexcept {
  return static_cast<std::uint32_t>(arch::raw_syscall(SYS_gettid));
}

// A description of the region's file that no other process has.
int open_description(const file_handle& file) noexcept {
  if (!base::names(file.descriptor, file.identity)) return -1;
  return base::open_file(base::descriptor_path{file.descriptor}.get(), O_RDWR | O_NOCTTY);
}

void close_spare(open_region& region) noexcept {
  if (region.spare_description < 0) return;
  base::close_file(region.spare_description);
  region.spare_description = -1;
}

// No thread may be in the middle of taking a membership lock, whose description the child would
// share, when the address space is copied. The child gets descriptions for membership locks of its
// own now: it may have given up the right to open the files by the time it needs them.
void before_fork() noexcept {
  base::signals_blocked blocked;
  process_state* state = this_process();
  if (state == nullptr) return;
  take(&state->lock);
  __atomic_store_n(&state->forking_thread, own_tid(), __ATOMIC_RELAXED);
  for (open_region& region : process_regions) {
    if (region.base.load(std::memory_order_relaxed) == nullptr || region.read_only) continue;
    region.spare_description = open_description(region.file);
  }
}

void after_fork_in_parent() noexcept {
  base::signals_blocked blocked;
  process_state* state = this_process();
  if (state == nullptr) return;
  for (open_region& region : process_regions) close_spare(region);
  __atomic_store_n(&state->forking_thread, 0, __ATOMIC_RELAXED);
  give(&state->lock);
}

void after_fork_in_child() noexcept {
  base::signals_blocked blocked;
  forget_after_fork();
  process_state* state = this_process();
  if (state == nullptr) return;
  process_locked locked{*state};
  for (open_region& region : process_regions) {
    if (region.base.load(std::memory_order_relaxed) == nullptr || region.read_only) continue;
    ensure_membership_lock(*state, region);
  }
}

void on_thread_exit(void*) noexcept {
  detach_at_exit();
}

membership_lock* find(process_state& process, const base::file_identity& file) noexcept {
  for (membership_lock& lock : process.membership_locks) {
    if (lock.is_used() && lock.file == file) return &lock;
  }
  return nullptr;
}

} // namespace

process_id process_state::id_in(const base::file_identity& file) const noexcept {
  for (const membership_lock& candidate : membership_locks) {
    if (candidate.is_used() && candidate.file == file) return candidate.process;
  }
  return process_by_pid(own_pid_namespace(), own_pid());
}

process_state* this_process() noexcept {
  bool made = false;
  auto* state = static_cast<process_state*>(base::fork_page(state_page, made));
  if (state == nullptr) return nullptr;
  if (made) pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  if (__atomic_load_n(&state->pid, __ATOMIC_ACQUIRE) == 0) {
    // Every thread that comes here stores the same.
    struct stat namespace_file;
    if (stat("/proc/thread-self/ns/pid", &namespace_file) == 0) {
      __atomic_store_n(&state->pid_namespace, std::uint64_t{namespace_file.st_ino},
                       __ATOMIC_RELAXED);
    }
    __atomic_store_n(&state->pid, static_cast<std::uint32_t>(getpid()), __ATOMIC_RELEASE);
  }
  return state;
}

process_locked::process_locked(process_state& state) noexcept
    : state_{state}, entered_again_{false} {
  const std::uint32_t forking = __atomic_load_n(&state.forking_thread, __ATOMIC_RELAXED);
  entered_again_ = forking != 0 && forking == own_tid();
  if (!entered_again_) take(&state_.lock);
}
process_locked::~process_locked() {
  if (!entered_again_) give(&state_.lock);
}

void* keep_lock(base::descriptor& own, std::int64_t byte, int look) noexcept {
  // Nothing is read or written there: the mapping keeps the description open.
  const auto length = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* page = mmap(nullptr, length, PROT_NONE, MAP_SHARED, own.get(), 0);
  if (page == MAP_FAILED) return nullptr;
  own.reset();
  // On some file systems (overlayfs) a mapping keeps a file of a layer below open, and not the
  // file that was mapped: then the kernel has released the lock by now.
  if (madvise(page, length, MADV_DONTFORK) == 0 &&
      base::look_for_lock(look, byte, 1) == base::lock_state::held) {
    return page;
  }
  munmap(page, length);
  return nullptr;
}

bool take_membership_lock(process_state& process, const file_handle& file, int description,
                          bool* alone) noexcept {
  base::descriptor own{description};
  if (alone != nullptr) *alone = false;
  if (find(process, file.identity) != nullptr) return true;
  membership_lock* unused = nullptr;
  for (membership_lock& lock : process.membership_locks) {
    if (!lock.is_used()) unused = &lock;
  }
  if (unused == nullptr || !base::names(own.get(), file.identity)) return false;
  // Two tries: another process may have the first byte, however unlikely that is. If the second is
  // locked as well, a process that may only read the file has locked all bytes.
  process_id byte = no_process;
  for (int tries = 2; tries > 0 && byte == no_process; --tries) {
    const process_id chosen = first_lock_byte | (base::random_number() & (first_lock_byte - 1));
    if (base::try_lock_byte(own.get(), static_cast<std::int64_t>(chosen)) == 0) byte = chosen;
  }
  if (byte == no_process) return false;
  if (alone != nullptr) {
    // The query does not report this process's own lock, which has the same open file description.
    *alone =
        base::look_for_lock(own.get(), static_cast<std::int64_t>(first_lock_byte),
                            static_cast<std::int64_t>(first_lock_byte)) == base::lock_state::none;
  }
  void* page = keep_lock(own, static_cast<std::int64_t>(byte), file.descriptor);
  if (page == nullptr) return false;
  unused->file = file.identity;
  unused->process = byte;
  // order: release; a thread that sees the page sees the rest.
  __atomic_store_n(&unused->page, page, __ATOMIC_RELEASE);
  return true;
}

void ensure_membership_lock(process_state& process, open_region& region) noexcept {
  if (find(process, region.file.identity) != nullptr) return;
  const bool is_parent_of_fork = process.forking_thread != 0;
  const int description = region.spare_description >= 0 && !is_parent_of_fork
                              ? std::exchange(region.spare_description, -1)
                              : open_description(region.file);
  take_membership_lock(process, region.file, description, nullptr);
}

void drop_unused_membership_locks(process_state& process) noexcept {
  for (membership_lock& lock : process.membership_locks) {
    if (!lock.is_used()) continue;
    bool used = false;
    for (const open_region& region : process_regions) {
      used = used || (region.base.load(std::memory_order_relaxed) != nullptr && !region.read_only &&
                      region.file.identity == lock.file);
    }
    for (const attachment* one = process.attachments; one != nullptr && !used;
         one = one->next_of_process) {
      used = one->file == lock.file;
    }
    if (used) continue;
    void* page = lock.page;
    // No thread of this process uses the file any more, so none reads the entry for it.
    __atomic_store_n(&lock.page, nullptr, __ATOMIC_RELEASE);
    munmap(page, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  }
}

void watch_thread_exit() noexcept {
  if (__atomic_load_n(&exit_key_made, __ATOMIC_ACQUIRE) == 0) {
    // The process lock is held: one thread makes the key.
    if (pthread_key_create(&exit_key, on_thread_exit) != 0) return;
    __atomic_store_n(&exit_key_made, 1, __ATOMIC_RELEASE);
  }
  static_cast<void>(pthread_setspecific(exit_key, &exit_key));
}

} // namespace deadbolt::regions
