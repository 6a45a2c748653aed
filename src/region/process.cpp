// SPDX-License-Identifier: MIT
#include <region/process.hpp>

#include <base/futex.hpp>
#include <base/signals.hpp>
#include <limits.h>
#include <pthread.h>
#include <region/membership.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace deadbolt::regions {
namespace {

constinit process_state* state_page = nullptr;
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

// Nobody may be in the middle of an attach when the address space is copied: the
// child would share, and so keep, a claim that is another thread's.
void before_fork() noexcept {
  base::signals_blocked blocked;
  process_state* state = this_process();
  if (state != nullptr) take(&state->lock);
}

void after_fork_in_parent() noexcept {
  base::signals_blocked blocked;
  process_state* state = this_process();
  if (state != nullptr) give(&state->lock);
}

void after_fork_in_child() noexcept {
  forget_after_fork();
}

void on_thread_exit(void*) noexcept {
  detach_at_exit();
}

process_state* make_state() noexcept {
  void* mapped =
      mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (madvise(mapped, page_bytes, MADV_WIPEONFORK) != 0) {
    munmap(mapped, page_bytes);
    return nullptr;
  }
  process_state* expected = nullptr;
  auto* mine = static_cast<process_state*>(mapped);
  // order: release, for the threads that load state_page with acquire.
  if (!__atomic_compare_exchange_n(&state_page, &expected, mine, false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_ACQUIRE)) {
    munmap(mapped, page_bytes);
    return expected;
  }
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  return mine;
}

} // namespace

process_state* this_process() noexcept {
  process_state* state = __atomic_load_n(&state_page, __ATOMIC_ACQUIRE);
  if (state == nullptr) state = make_state();
  if (state == nullptr) return nullptr;
  if (__atomic_load_n(&state->pid, __ATOMIC_ACQUIRE) == 0) {
    // Every thread that comes here stores the same.
    struct stat namespace_file;
    if (stat("/proc/self/ns/pid", &namespace_file) == 0) {
      __atomic_store_n(&state->pid_namespace, std::uint64_t{namespace_file.st_ino},
                       __ATOMIC_RELAXED);
    }
    __atomic_store_n(&state->pid, static_cast<std::uint32_t>(getpid()), __ATOMIC_RELEASE);
  }
  return state;
}

process_locked::process_locked(process_state& state) noexcept : state_{state} {
  take(&state_.lock);
}
process_locked::~process_locked() {
  give(&state_.lock);
}

bool watch_thread_exit() noexcept {
  if (__atomic_load_n(&exit_key_made, __ATOMIC_ACQUIRE) == 0) {
    // The process lock is held: one thread makes the key.
    if (pthread_key_create(&exit_key, on_thread_exit) != 0) return false;
    __atomic_store_n(&exit_key_made, 1, __ATOMIC_RELEASE);
  }
  return pthread_setspecific(exit_key, &exit_key) == 0;
}

} // namespace deadbolt::regions
