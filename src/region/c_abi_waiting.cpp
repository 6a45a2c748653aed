// SPDX-License-Identifier: MIT
// The C names of condition variables and semaphores.
#include <deadbolt/condition_variable.hpp>
#include <deadbolt/counting_semaphore.hpp>
#include <deadbolt/region.h>

#include <region/c_abi.hpp>

namespace deadbolt {
namespace {

static_assert(DEADBOLT_AWAKE == static_cast<int>(wait_status::awake));
static_assert(DEADBOLT_WAIT_OWNER_DIED == static_cast<int>(wait_status::owner_died));
static_assert(DEADBOLT_WAIT_NOT_OWNER == static_cast<int>(wait_status::not_owner));

condition_variable& as_cpp(deadbolt_condition_variable* condition) noexcept {
  return c_abi::as<condition_variable>(condition);
}
mutex& as_cpp(deadbolt_mutex* lock) noexcept {
  return c_abi::as<mutex>(lock);
}
std::uint64_t* words_of(deadbolt_permit* permits) noexcept {
  return &c_abi::as<std::uint64_t>(permits);
}
deadbolt_lock_status as_c(lock_status status) noexcept {
  return static_cast<deadbolt_lock_status>(status);
}

} // namespace
} // namespace deadbolt

using deadbolt::as_c;
using deadbolt::as_cpp;
using deadbolt::words_of;

const char* deadbolt_wait_status_name(deadbolt_wait_status status) {
  return to_string(static_cast<deadbolt::wait_status>(status));
}

deadbolt_wait_status deadbolt_condition_variable_wait(deadbolt_condition_variable* condition,
                                                      deadbolt_mutex* mutex) {
  return static_cast<deadbolt_wait_status>(as_cpp(condition).wait(as_cpp(mutex)).status());
}
deadbolt_wait_status deadbolt_condition_variable_wait_until(deadbolt_condition_variable* condition,
                                                            deadbolt_mutex* mutex, clockid_t clock,
                                                            const timespec* time) {
  return deadbolt::c_abi::at_time(condition, clock, time, [&](auto at) {
    return static_cast<deadbolt_wait_status>(
        as_cpp(condition).wait_until(as_cpp(mutex), at).status());
  });
}
void deadbolt_condition_variable_notify_one(deadbolt_condition_variable* condition) {
  as_cpp(condition).notify_one();
}
void deadbolt_condition_variable_notify_all(deadbolt_condition_variable* condition) {
  as_cpp(condition).notify_all();
}

void deadbolt_counting_semaphore_init(deadbolt_permit* permits, size_t count, size_t available) {
  for (size_t i = 0; i < count; ++i) permits[i].word = 0;
  deadbolt::detail::withhold_permits(words_of(permits), count, available);
}
deadbolt_lock_status deadbolt_counting_semaphore_acquire(deadbolt_permit* permits, size_t count) {
  return as_c(deadbolt::detail::acquire_permit(words_of(permits), count, nullptr));
}
deadbolt_lock_status deadbolt_counting_semaphore_try_acquire(deadbolt_permit* permits,
                                                             size_t count) {
  return as_c(deadbolt::detail::try_acquire_permit(words_of(permits), count));
}
deadbolt_lock_status deadbolt_counting_semaphore_acquire_until(deadbolt_permit* permits,
                                                               size_t count, clockid_t clock,
                                                               const timespec* time) {
  return deadbolt::c_abi::at_time(permits, clock, time, [&](auto at) {
    return as_c(deadbolt::detail::lock_until(at, [&](deadbolt::detail::deadline deadline) noexcept {
      return deadbolt::detail::acquire_permit(words_of(permits), count, &deadline);
    }));
  });
}
deadbolt_unlock_status deadbolt_counting_semaphore_release(deadbolt_permit* permits, size_t count) {
  return static_cast<deadbolt_unlock_status>(
      deadbolt::detail::release_permit(words_of(permits), count));
}
