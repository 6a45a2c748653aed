// SPDX-License-Identifier: MIT
// Locks under clang's -Wthread-safety: right use, and one wrong use for each value of WRONG.
#include <deadbolt/mutex.hpp>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <deadbolt/thread_safety.hpp>
#include <deadbolt/with_recovery.hpp>

#include <chrono>

#ifndef WRONG
#define WRONG 0
#endif

namespace {

using deadbolt::lock_status;

template <class Lock>
struct guarded {
  Lock lock;
  int value __attribute__((guarded_by(lock))) = 0;

  void right_lock() {
    static_cast<void>(lock.lock());
    ++value;
    lock.unlock();
  }
  bool right_try_lock() {
    if (!lock.try_lock()) return false;
    ++value;
    lock.unlock();
    if (lock.try_lock_for(std::chrono::milliseconds{1})) lock.unlock();
    return true;
  }
  bool right_status() {
    switch (lock.lock().status()) {
    case lock_status::owner_died:
      lock.mark_consistent();
      break;
    case lock_status::acquired:
      break;
    default:
      deadbolt::assume_not_held(lock);
      return false;
    }
    ++value;
    lock.unlock();
    return true;
  }
  bool right_result_in_a_variable() {
    const auto result = lock.try_lock();
    if (result.status() != lock_status::acquired) return false;
    deadbolt::assume_held(lock);
    ++value;
    lock.unlock();
    return true;
  }

#if WRONG == 1 // holding mutex
  void wrong() {
    ++value;
  }
#elif WRONG == 2 // still held
  void wrong() {
    static_cast<void>(lock.lock());
    ++value;
  }
#elif WRONG == 3 // was not held
  void wrong() {
    lock.unlock();
  }
#elif WRONG == 4 // already held
  void wrong() {
    static_cast<void>(lock.lock());
    static_cast<void>(lock.lock());
    lock.unlock();
  }
#elif WRONG == 5 // holding mutex
  void wrong() {
    if (lock.try_lock()) {
      lock.unlock();
    } else {
      ++value;
    }
  }
#elif WRONG == 6 // not held on every path
  void wrong() {
    if (lock.try_lock_for(std::chrono::milliseconds{1})) ++value;
  }
#else
  void wrong() {}
#endif
};

template <class Lock>
void use() {
  guarded<Lock> it;
  it.right_lock();
  it.right_try_lock();
  it.right_status();
  it.right_result_in_a_variable();
  it.wrong();
}
template void use<deadbolt::robust_mutex>();
template void use<deadbolt::robust_pi_mutex>();
template void use<deadbolt::mutex>();
template void use<deadbolt::shared_mutex>();

struct table {
  deadbolt::shared_mutex lock;
  int value __attribute__((guarded_by(lock))) = 0;

  int right_read() {
    static_cast<void>(lock.lock_shared());
    const int seen = value;
    lock.unlock_shared();
    return seen;
  }
  int right_try_read() {
    if (!lock.try_lock_shared()) return 0;
    const int seen = value;
    lock.unlock_shared();
    return seen;
  }
#if WRONG == 7 // exclusively
  void wrong() {
    static_cast<void>(lock.lock_shared());
    value = 1;
    lock.unlock_shared();
  }
#elif WRONG == 9 // exclusively
  void wrong() {
    if (!lock.try_lock_shared()) return;
    value = 1;
    lock.unlock_shared();
  }
#endif
};

bool recover() {
  return true;
}
struct recovering {
  deadbolt::mutex mutex;
  deadbolt::with_recovery<deadbolt::mutex, bool (*)()> lock{mutex, recover};
  int value __attribute__((guarded_by(lock))) = 0;

  void right() {
    lock.lock();
    ++value;
    lock.unlock();
    if (lock.try_lock()) {
      ++value;
      lock.unlock();
    }
  }
#if WRONG == 8 // holding mutex
  void wrong() {
    ++value;
  }
#endif
};

} // namespace

int main() {
  table readers;
  recovering view;
  view.right();
  return readers.right_read() + readers.right_try_read();
}
