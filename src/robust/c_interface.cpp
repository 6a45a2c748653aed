// SPDX-License-Identifier: MIT
// The C functions of the robust mutexes, protection and quiescence. Each calls its C++
// counterpart.
#include <deadbolt/protection.h>
#include <deadbolt/protection.hpp>
#include <deadbolt/quiescence.h>
#include <deadbolt/quiescence.hpp>
#include <deadbolt/robust_mutex.h>
#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

#include <base/c_interface.hpp>
#include <bit>
#include <new>

namespace deadbolt {
namespace {

using base::as;

// The C and C++ enumerators have equal values, so that a cast converts them.
static_assert(DEADBOLT_OWNER_DIED == static_cast<int>(lock_status::owner_died));
static_assert(DEADBOLT_DEADLOCK == static_cast<int>(lock_status::deadlock));
static_assert(DEADBOLT_NOT_OWNER == static_cast<int>(unlock_status::not_owner));
static_assert(DEADBOLT_PROTECTION_NONE == static_cast<int>(protection_kind::none));
static_assert(DEADBOLT_PROTECTION_KERNEL == static_cast<int>(protection_kind::kernel));
static_assert(DEADBOLT_QUIESCENT == static_cast<int>(quiescence_status::quiescent));
static_assert(DEADBOLT_QUIESCENCE_UNAVAILABLE == static_cast<int>(quiescence_status::unavailable));

deadbolt_lock_status as_c(lock_status status) noexcept {
  return static_cast<deadbolt_lock_status>(status);
}

template <class Mutex, class C>
deadbolt_lock_status lock(C* mutex) noexcept {
  return as_c(as<Mutex>(mutex).lock().status());
}
template <class Mutex, class C>
deadbolt_lock_status try_lock(C* mutex) noexcept {
  return as_c(as<Mutex>(mutex).try_lock().status());
}
template <class Mutex, class C>
deadbolt_lock_status lock_until(C* mutex, clockid_t clock, const timespec* time) noexcept {
  return as_c(base::at_time(mutex, clock, time, [mutex](auto at) noexcept {
    return as<Mutex>(mutex).try_lock_until(at).status();
  }));
}
template <class Mutex, class C>
deadbolt_unlock_status unlock(C* mutex) noexcept {
  return static_cast<deadbolt_unlock_status>(as<Mutex>(mutex).unlock());
}

deadbolt_quiescence as_c(const quiescence_result& result) noexcept {
  return std::bit_cast<deadbolt_quiescence>(result);
}

} // namespace
} // namespace deadbolt

using namespace deadbolt;

void deadbolt_robust_mutex_init(deadbolt_robust_mutex* mutex) {
  new (mutex) robust_mutex;
}
deadbolt_lock_status deadbolt_robust_mutex_lock(deadbolt_robust_mutex* mutex) {
  return lock<robust_mutex>(mutex);
}
deadbolt_lock_status deadbolt_robust_mutex_try_lock(deadbolt_robust_mutex* mutex) {
  return try_lock<robust_mutex>(mutex);
}
deadbolt_lock_status deadbolt_robust_mutex_lock_until(deadbolt_robust_mutex* mutex, clockid_t clock,
                                                      const timespec* time) {
  return lock_until<robust_mutex>(mutex, clock, time);
}
deadbolt_unlock_status deadbolt_robust_mutex_unlock(deadbolt_robust_mutex* mutex) {
  return unlock<robust_mutex>(mutex);
}
bool deadbolt_robust_mutex_mark_consistent(deadbolt_robust_mutex* mutex) {
  return as<robust_mutex>(mutex).mark_consistent();
}
pid_t deadbolt_robust_mutex_owner(const deadbolt_robust_mutex* mutex) {
  return as<const robust_mutex>(mutex).owner();
}
void deadbolt_robust_mutex_destroy(deadbolt_robust_mutex* mutex) {
  as<robust_mutex>(mutex).~robust_mutex();
}

void deadbolt_robust_pi_mutex_init(deadbolt_robust_pi_mutex* mutex) {
  new (mutex) robust_pi_mutex;
}
deadbolt_lock_status deadbolt_robust_pi_mutex_lock(deadbolt_robust_pi_mutex* mutex) {
  return lock<robust_pi_mutex>(mutex);
}
deadbolt_lock_status deadbolt_robust_pi_mutex_try_lock(deadbolt_robust_pi_mutex* mutex) {
  return try_lock<robust_pi_mutex>(mutex);
}
deadbolt_lock_status deadbolt_robust_pi_mutex_lock_until(deadbolt_robust_pi_mutex* mutex,
                                                         clockid_t clock, const timespec* time) {
  return lock_until<robust_pi_mutex>(mutex, clock, time);
}
deadbolt_unlock_status deadbolt_robust_pi_mutex_unlock(deadbolt_robust_pi_mutex* mutex) {
  return unlock<robust_pi_mutex>(mutex);
}
bool deadbolt_robust_pi_mutex_mark_consistent(deadbolt_robust_pi_mutex* mutex) {
  return as<robust_pi_mutex>(mutex).mark_consistent();
}
pid_t deadbolt_robust_pi_mutex_owner(const deadbolt_robust_pi_mutex* mutex) {
  return as<const robust_pi_mutex>(mutex).owner();
}
void deadbolt_robust_pi_mutex_destroy(deadbolt_robust_pi_mutex* mutex) {
  as<robust_pi_mutex>(mutex).~robust_pi_mutex();
}

deadbolt_protection_kind deadbolt_protection(void) {
  return static_cast<deadbolt_protection_kind>(protection());
}
const char* deadbolt_protection_name(deadbolt_protection_kind protection) {
  return to_string(static_cast<protection_kind>(protection));
}

deadbolt_quiescence deadbolt_wait_for_unlocks(const void* address, size_t length, int64_t timeout) {
  return as_c(wait_for_unlocks(address, length, std::chrono::nanoseconds{timeout}));
}
deadbolt_quiescence deadbolt_unmap(void* address, size_t length, int64_t timeout) {
  return as_c(unmap(address, length, std::chrono::nanoseconds{timeout}));
}
