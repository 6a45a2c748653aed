// SPDX-License-Identifier: MIT
// The functions in front of the libc's, and what happens when the library is loaded.
#include "preload/loaded_object.hpp"
#include "preload/operations.hpp"
#include "preload/patch.hpp"
#include "preload/report.hpp"
#include "preload/shapes.hpp"
#include "preload/waiters_probe.hpp"

#include <base/robust_list.hpp>
#include <errno.h>
#include <gnu/libc-version.h>
#include <robust/engine.hpp>
#include <string.h>
#include <time.h>

// ThreadSanitizer's, in a program that has it.
// NOLINTNEXTLINE(bugprone-reserved-identifier): its name
extern "C" [[gnu::weak]] void __tsan_init();

namespace deadbolt::preload {

constinit std::ptrdiff_t head_offset = 0;

namespace {

using one_mutex = int (*)(pthread_mutex_t*);
using timed = int (*)(pthread_mutex_t*, const timespec*);
using clocked = int (*)(pthread_mutex_t*, clockid_t, const timespec*);
using counted = int (*)(pthread_mutex_t*, int);

template <class Function>
Function as(const unsigned char* address) noexcept {
  return reinterpret_cast<Function>(reinterpret_cast<std::uintptr_t>(address));
}

// The functions that calls would reach without this library. Each pointer first leads to a function
// that looks up the libc's function, so that the library works when it is called before its own
// constructor has run. So a call that is passed on tests nothing but the mutex's kind.
struct next_functions {
  one_mutex lock;
  one_mutex try_lock;
  one_mutex unlock;
  timed timed_lock;
  clocked clock_lock;
};
extern constinit next_functions next;

// order: relaxed, the functions are the libc's code, and any thread finds the same.
template <class Function>
Function load(const Function& function) noexcept {
  return __atomic_load_n(&function, __ATOMIC_RELAXED);
}

template <class Function>
Function look_up(Function& function, const char* name, Function instead = nullptr) noexcept {
  auto found = as<Function>(find_next_function(name).address);
  if (found == nullptr) found = instead;
  __atomic_store_n(&function, found, __ATOMIC_RELAXED);
  return found;
}

one_mutex look_up_lock() noexcept {
  return look_up(next.lock, "pthread_mutex_lock");
}
one_mutex look_up_try_lock() noexcept {
  return look_up(next.try_lock, "pthread_mutex_trylock");
}
one_mutex look_up_unlock() noexcept {
  return look_up(next.unlock, "pthread_mutex_unlock");
}
timed look_up_timed_lock() noexcept {
  return look_up(next.timed_lock, "pthread_mutex_timedlock");
}
clocked look_up_clock_lock() noexcept {
  // glibc has it from 2.30 on.
  const clocked none = [](pthread_mutex_t*, clockid_t, const timespec*) { return ENOSYS; };
  return look_up(next.clock_lock, "pthread_mutex_clocklock", none);
}

constinit next_functions next{
    .lock = [](pthread_mutex_t* mutex) { return look_up_lock()(mutex); },
    .try_lock = [](pthread_mutex_t* mutex) { return look_up_try_lock()(mutex); },
    .unlock = [](pthread_mutex_t* mutex) { return look_up_unlock()(mutex); },
    .timed_lock = [](pthread_mutex_t* mutex,
                     const timespec* until) { return look_up_timed_lock()(mutex, until); },
    .clock_lock = [](pthread_mutex_t* mutex, clockid_t clock,
                     const timespec* until) { return look_up_clock_lock()(mutex, clock, until); },
};

void look_up_all() noexcept {
  look_up_lock();
  look_up_try_lock();
  look_up_unlock();
  look_up_timed_lock();
  look_up_clock_lock();
}

// glibc's functions for the kinds that are neither plain nor elided.
constinit one_mutex libc_lock_full = nullptr;
constinit one_mutex libc_cond_lock_full = nullptr;
constinit counted libc_unlock_full = nullptr;

int hooked_lock(pthread_mutex_t* mutex) {
  return is_handled(mutex) ? lock(mutex, no_limit) : libc_lock_full(mutex);
}
int hooked_cond_lock(pthread_mutex_t* mutex) {
  return is_handled(mutex) ? lock_slow(mutex, caller::condition_variable, no_limit)
                           : libc_cond_lock_full(mutex);
}
int hooked_unlock(pthread_mutex_t* mutex, int decrease_users) {
  return is_handled(mutex)
             ? unlock(mutex, decrease_users != 0 ? caller::program : caller::condition_variable)
             : libc_unlock_full(mutex, decrease_users);
}

// From the oldest to the newest version whose code was examined. A later one may itself do what
// this library does. The code of those in between is accepted if it has a known shape.
bool is_known_version(const char* version) noexcept {
  if (strncmp(version, "2.", 2) != 0) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!is_digit(version[2]) || !is_digit(version[3]) || is_digit(version[4])) return false;
  const int minor = (version[2] - '0') * 10 + (version[3] - '0');
  return minor >= 31 && minor <= 44;
}

// nullptr when all three jumps lead here; else why one does not. The jumps of locks that were
// patched before it stay so.
const char* install_hooks() noexcept {
  if (!is_known_version(gnu_get_libc_version())) return "unknown glibc version";
  loaded_object libc;
  if (!find_libc(libc)) return "libc.so.6 is not loaded";
  libc_sites sites;
  const libc_entries entries{.mutex_lock = libc.find("pthread_mutex_lock"),
                             .mutex_unlock = libc.find("pthread_mutex_unlock"),
                             .cond_wait = libc.find("pthread_cond_wait")};
  if (const char* trouble = find_sites(libc.code(), entries, sites); trouble != nullptr)
    return trouble;
  struct {
    const jump_site& site;
    const void* ours;
  } const hooks[] = {{sites.lock, reinterpret_cast<const void*>(hooked_lock)},
                     {sites.cond_lock, reinterpret_cast<const void*>(hooked_cond_lock)},
                     {sites.unlock, reinterpret_cast<const void*>(hooked_unlock)}};
  for (const auto& hook : hooks)
    if (const char* trouble = check_patch(hook.site, hook.ours); trouble != nullptr) return trouble;
  libc_lock_full = as<one_mutex>(sites.lock.target);
  libc_cond_lock_full = as<one_mutex>(sites.cond_lock.target);
  libc_unlock_full = as<counted>(sites.unlock.target);
  // The locks' jumps first: if a later patch is refused, a patched lock works with glibc's unlock.
  for (const auto& hook : hooks)
    if (const char* trouble = patch(hook.site, hook.ours); trouble != nullptr) return trouble;
  return nullptr;
}

// The best engine that never leaves a word on which a process without this library sleeps
// for ever. One that DEADBOLT_ENGINE names is taken as it is.
void choose_shareable_engine(const char* wanted) noexcept {
  robust::choose_engine(wanted);
  if (wanted != nullptr && *wanted != '\0') return;
  const char* const name = robust::chosen_engine.name;
  if (strcmp(name, "vdso_mainline") != 0 && strcmp(name, "syscall") != 0) return;
  switch (probe_contended_unlock()) {
  case word_left::zero:
    return;
  case word_left::waiters:
    add_reason("with this kernel's unlock, waiters without this library could sleep for ever");
    break;
  case word_left::unknown:
    add_reason("this kernel's unlock could not be tested");
    break;
  }
  robust::choose_engine("local");
}

// The first of the program's constructors: the library is linked with -z initfirst.
[[gnu::constructor(101)]] void start(int, char**, char** environment) noexcept {
  // ThreadSanitizer's mutex functions come before the libc's, and do not work before this call.
  if (&__tsan_init != nullptr) __tsan_init();
  look_up_all();
  const preload_options options = read_options(environment);
  choose_shareable_engine(options.engine);
  auto reached = level::none;
  if (!find_thread_layout()) {
    add_reason("unknown libc: its threads' robust lists are not where glibc has them");
  } else if (options.interpose_only) {
    reached = level::interpose;
    add_reason("asked for by DEADBOLT_PRELOAD=interpose");
  } else if (const char* const trouble = install_hooks(); trouble != nullptr) {
    reached = level::interpose;
    add_reason(trouble);
  } else {
    reached = level::hook;
  }
  report(reached, options.verbose);
}

} // namespace

bool find_thread_layout() noexcept {
  robust_list_head* const head = base::own_robust_list();
  if (head == nullptr || head->futex_offset != entry_to_word) return false;
  if (own_tid(head) != static_cast<std::uint32_t>(arch::raw_syscall(SYS_gettid))) return false;
  head_offset = reinterpret_cast<char*>(head) - static_cast<char*>(__builtin_thread_pointer());
  return true;
}

} // namespace deadbolt::preload

// Without a symbol version, they stand in front of every version that the libc has.
#pragma GCC visibility push(default)
extern "C" {

using namespace deadbolt::preload;

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  if (is_handled(mutex)) return lock(mutex, no_limit);
  return load(next.lock)(mutex);
}

int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  if (is_handled(mutex)) return try_lock(mutex);
  return load(next.try_lock)(mutex);
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  if (is_handled(mutex)) return unlock(mutex, caller::program);
  return load(next.unlock)(mutex);
}

int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) noexcept {
  if (is_handled(mutex)) return lock(mutex, {.realtime = true, .until = until});
  return load(next.timed_lock)(mutex, until);
}

int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock,
                            const timespec* until) noexcept {
  if (is_handled(mutex)) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
    return lock(mutex, {.realtime = clock == CLOCK_REALTIME, .until = until});
  }
  return load(next.clock_lock)(mutex, clock, until);
}

// The names by which older programs and libraries were bound.
// NOLINTBEGIN(bugprone-reserved-identifier)
int __pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  return pthread_mutex_lock(mutex);
}
int __pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  return pthread_mutex_trylock(mutex);
}
int __pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  return pthread_mutex_unlock(mutex);
}
// NOLINTEND(bugprone-reserved-identifier)
}
#pragma GCC visibility pop
