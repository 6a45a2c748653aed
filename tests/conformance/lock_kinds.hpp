// SPDX-License-Identifier: MIT
// The libc's robust mutexes and ours under one interface, so that the same test bodies
// run on all of them.
#ifndef DEADBOLT_TESTS_CONFORMANCE_LOCK_KINDS_HPP
#define DEADBOLT_TESTS_CONFORMANCE_LOCK_KINDS_HPP

#include "../shared_list/support.hpp"

#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <chrono>
#include <new>
#include <time.h>

namespace conformance {

using deadbolt::lock_status;
using deadbolt::unlock_status;

// Of the type that reports a deadlock, as ours do.
template <int protocol>
class pthread_kind {
public:
  static constexpr const char* name =
      protocol == PTHREAD_PRIO_INHERIT ? "pthread_pi" : "pthread_robust";

  static void* map(std::size_t size) { return shared_list::map_shared(size); }

  pthread_kind() {
    pthread_mutexattr_t attributes;
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutexattr_setprotocol(&attributes, protocol) == 0);
    CHECK(pthread_mutex_init(&mutex_, &attributes) == 0);
    pthread_mutexattr_destroy(&attributes);
  }
  ~pthread_kind() { CHECK(pthread_mutex_destroy(&mutex_) == 0); }

  lock_status lock() { return status_of(pthread_mutex_lock(&mutex_)); }
  lock_status try_lock() { return status_of(pthread_mutex_trylock(&mutex_)); }
  lock_status lock_for(std::chrono::milliseconds time) {
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    const long long ns = until.tv_nsec + time.count() % 1000 * 1'000'000;
    until.tv_sec += static_cast<time_t>(time.count() / 1000 + ns / 1'000'000'000);
    until.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    if (until.tv_nsec < 0) {
      until.tv_nsec += 1'000'000'000;
      --until.tv_sec;
    }
    return status_of(pthread_mutex_timedlock(&mutex_, &until));
  }
  unlock_status unlock() {
    const int error = pthread_mutex_unlock(&mutex_);
    CHECK(error == 0 || error == EPERM);
    return error == 0 ? unlock_status::released : unlock_status::not_owner;
  }
  bool mark_consistent() { return pthread_mutex_consistent(&mutex_) == 0; }

private:
  static lock_status status_of(int error) {
    switch (error) {
    case 0:
      return lock_status::acquired;
    case EOWNERDEAD:
      return lock_status::owner_died;
    case ENOTRECOVERABLE:
      return lock_status::not_recoverable;
    case EBUSY:
      return lock_status::busy;
    case ETIMEDOUT:
      return lock_status::timed_out;
    case EDEADLK:
      return lock_status::deadlock;
    default:
      shared_list::fail("an error that POSIX does not know here", __FILE__, error);
    }
  }

  pthread_mutex_t mutex_;
};

template <class Mutex>
class our_kind {
public:
  static void* map(std::size_t size) { return shared_list::map_shared(size); }

  lock_status lock() { return mutex_.lock().status(); }
  lock_status try_lock() { return mutex_.try_lock().status(); }
  // Not try_lock_for(), which wants the C++ run-time library's clock.
  lock_status lock_for(std::chrono::milliseconds time) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const std::chrono::steady_clock::time_point start{std::chrono::seconds{now.tv_sec} +
                                                      std::chrono::nanoseconds{now.tv_nsec}};
    return mutex_.try_lock_until(start + time).status();
  }
  unlock_status unlock() { return mutex_.unlock(); }
  bool mark_consistent() { return mutex_.mark_consistent(); }

private:
  Mutex mutex_;
};

struct robust_mutex_kind : our_kind<deadbolt::robust_mutex> {
  static constexpr const char* name = "robust_mutex";
};
struct robust_pi_mutex_kind : our_kind<deadbolt::robust_pi_mutex> {
  static constexpr const char* name = "robust_pi_mutex";
};
struct region_mutex_kind : our_kind<deadbolt::mutex> {
  static constexpr const char* name = "mutex";

  // Its handle is never closed: the program ends.
  static void* map(std::size_t size) {
    const auto& made = *new (shared_list::map_shared(sizeof(deadbolt::region))) deadbolt::region{
        deadbolt::region::create_anonymous("deadbolt-conformance", {.size = size, .members = 64})};
    CHECK(made);
    return made.data();
  }
};

} // namespace conformance
#endif
