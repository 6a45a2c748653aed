// SPDX-License-Identifier: MIT
// For programs that are built with clang's -Wthread-safety.
//
// Every mutex of deadbolt is a capability: data can be declared
// __attribute__((guarded_by(lock))). The analysis takes lock() and lock_shared() for acquired
// whatever they return. It takes the try_, timed and interruptible forms for acquired in the
// branch of an `if` that tests the call itself: `if (lock.try_lock())`. Where a program decides
// by a result's status() instead, it tells the analysis what that status means:
//
//   switch (lock.lock().status()) {
//   case lock_status::not_recoverable:
//     deadbolt::assume_not_held(lock);
//     return false;
//   ...
//
// assume_held() says the opposite. Neither function does anything at run time.
#ifndef DEADBOLT_THREAD_SAFETY_HPP
#define DEADBOLT_THREAD_SAFETY_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_safety.h>

namespace deadbolt::inline DEADBOLT_ABI {

template <class Lock>
void assume_held(Lock& lock) noexcept DEADBOLT_ASSERTS_HELD(lock);
template <class Lock>
void assume_held([[maybe_unused]] Lock& lock) noexcept {}

template <class Lock>
void assume_not_held(Lock& lock) noexcept DEADBOLT_RELEASES(lock);
template <class Lock>
void assume_not_held([[maybe_unused]] Lock& lock) noexcept {}

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
