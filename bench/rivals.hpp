// SPDX-License-Identifier: MIT
// All measured locks, with one interface. Each is constructed in place in a shared mapping; a
// lock or unlock that does not succeed ends the program.
#ifndef DEADBOLT_BENCH_RIVALS_HPP
#define DEADBOLT_BENCH_RIVALS_HPP

#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>
#include <deadbolt/shared_mutex.hpp>

#if __has_include(<boost/interprocess/sync/interprocess_mutex.hpp>)
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#define DEADBOLT_BENCH_BOOST
#endif
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <semaphore.h>

namespace bench {

inline void require(bool fine, const char* what) {
  if (__builtin_expect(!fine, 0)) {
    std::fprintf(stderr, "lock_bench: %s\n", what);
    std::abort();
  }
}

// The minimum for a lock whose owner releases it by a plain store (where the waiters pay for the
// memory order): one atomic read-modify-write that takes the word, inlined into the caller.
struct one_rmw_floor {
  static constexpr const char* name = "one_rmw_floor";
  std::uint32_t word = 0;

  void lock() {
    std::uint32_t free = 0;
    require(__atomic_compare_exchange_n(&word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
            "floor: not free");
  }
  void unlock() { __atomic_store_n(&word, 0, __ATOMIC_RELEASE); }
};

// The minimum for every other lock: two atomic read-modify-writes.
struct two_rmw_floor : one_rmw_floor {
  static constexpr const char* name = "two_rmw_floor";

  void unlock() {
    require(__atomic_exchange_n(&word, 0, __ATOMIC_RELEASE) == 1, "floor: not held");
  }
};

// The minimum for a lock on a robust list: before each of the two, a plain store to
// list_op_pending that names the lock. Without that store the kernel would not find the lock of
// a thread that dies in between.
struct robust_floor : two_rmw_floor {
  static constexpr const char* name = "robust_floor";
  robust_floor* pending = nullptr;

  void lock() {
    __atomic_store_n(&pending, this, __ATOMIC_RELAXED);
    two_rmw_floor::lock();
  }
  void unlock() {
    __atomic_store_n(&pending, this, __ATOMIC_RELAXED);
    two_rmw_floor::unlock();
  }
};

// A floor behind two function calls, as a lock in a library is.
template <class Floor>
struct called {
  Floor floor;

  [[gnu::noinline]] void lock() { floor.lock(); }
  [[gnu::noinline]] void unlock() { floor.unlock(); }
};
struct one_rmw_floor_called : called<one_rmw_floor> {
  static constexpr const char* name = "one_rmw_floor_called";
};
struct two_rmw_floor_called : called<two_rmw_floor> {
  static constexpr const char* name = "two_rmw_floor_called";
};

// A process-shared pthread mutex.
template <int robustness, int protocol>
struct glibc_mutex {
  pthread_mutex_t mutex;

  glibc_mutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, robustness);
    pthread_mutexattr_setprotocol(&attributes, protocol);
    require(pthread_mutex_init(&mutex, &attributes) == 0, "pthread_mutex_init failed");
    pthread_mutexattr_destroy(&attributes);
  }
  void lock() { require(pthread_mutex_lock(&mutex) == 0, "pthread_mutex_lock failed"); }
  void unlock() { require(pthread_mutex_unlock(&mutex) == 0, "pthread_mutex_unlock failed"); }
};

struct glibc_normal : glibc_mutex<PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE> {
  static constexpr const char* name = "glibc_normal";
};
struct glibc_robust : glibc_mutex<PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_NONE> {
  static constexpr const char* name = "glibc_robust";
};
struct glibc_pi : glibc_mutex<PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT> {
  static constexpr const char* name = "glibc_pi";
};
struct glibc_robust_pi : glibc_mutex<PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_INHERIT> {
  static constexpr const char* name = "glibc_robust_pi";
};

template <class Mutex>
struct deadbolt_mutex {
  Mutex mutex;

  void lock() { require(mutex.lock(), "lock: not held"); }
  void unlock() {
    require(mutex.unlock() == deadbolt::unlock_status::released, "unlock: not released");
  }
};

struct robust_mutex : deadbolt_mutex<deadbolt::robust_mutex> {
  static constexpr const char* name = "robust_mutex";
};
struct robust_pi_mutex : deadbolt_mutex<deadbolt::robust_pi_mutex> {
  static constexpr const char* name = "robust_pi_mutex";
};

// These lie in a region; see shared_mapping.hpp.
struct region_mutex : deadbolt_mutex<deadbolt::mutex> {
  static constexpr const char* name = "mutex";
  static constexpr bool in_region = true;
};
struct shared_mutex_write : deadbolt_mutex<deadbolt::shared_mutex> {
  static constexpr const char* name = "shared_mutex_write";
  static constexpr bool in_region = true;
};
struct shared_mutex_read {
  static constexpr const char* name = "shared_mutex_read";
  static constexpr bool in_region = true;
  deadbolt::shared_mutex mutex;

  void lock() { require(mutex.lock_shared(), "lock_shared: not held"); }
  void unlock() {
    require(mutex.unlock_shared() == deadbolt::unlock_status::released, "unlock_shared failed");
  }
};

// A process-shared pthread rwlock; `kind` as for pthread_rwlockattr_setkind_np.
template <bool reads, int kind = PTHREAD_RWLOCK_DEFAULT_NP>
struct glibc_rwlock {
  pthread_rwlock_t rwlock;

  glibc_rwlock() {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_rwlockattr_setkind_np(&attributes, kind);
    require(pthread_rwlock_init(&rwlock, &attributes) == 0, "pthread_rwlock_init failed");
    pthread_rwlockattr_destroy(&attributes);
  }
  void lock() {
    require((reads ? pthread_rwlock_rdlock(&rwlock) : pthread_rwlock_wrlock(&rwlock)) == 0,
            "a pthread_rwlock was not locked");
  }
  void unlock() { require(pthread_rwlock_unlock(&rwlock) == 0, "pthread_rwlock_unlock failed"); }
};

struct glibc_rwlock_read : glibc_rwlock<true> {
  static constexpr const char* name = "glibc_rwlock_read";
};
struct glibc_rwlock_write : glibc_rwlock<false> {
  static constexpr const char* name = "glibc_rwlock_write";
};

// A process-shared semaphore, of this many permits.
template <unsigned permits>
struct glibc_semaphore {
  static constexpr const char* name = "glibc_semaphore";
  sem_t semaphore;

  glibc_semaphore() { require(sem_init(&semaphore, 1, permits) == 0, "sem_init failed"); }
  void lock() { require(sem_wait(&semaphore) == 0, "sem_wait failed"); }
  void unlock() { require(sem_post(&semaphore) == 0, "sem_post failed"); }
};

template <unsigned permits>
struct region_semaphore {
  static constexpr const char* name = "counting_semaphore";
  static constexpr bool in_region = true;
  deadbolt::counting_semaphore<permits> semaphore;

  void lock() { require(semaphore.acquire(), "acquire: no permit"); }
  void unlock() {
    require(semaphore.release() == deadbolt::unlock_status::released, "release: not released");
  }
};

#ifdef DEADBOLT_BENCH_BOOST
// Not robust: if its owner is killed, it stays locked for ever.
struct boost_interprocess {
  static constexpr const char* name = "boost_interprocess";
  boost::interprocess::interprocess_mutex mutex;

  void lock() { mutex.lock(); }
  void unlock() { mutex.unlock(); }
};
#endif

} // namespace bench
#endif
