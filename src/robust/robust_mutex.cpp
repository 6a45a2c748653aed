// SPDX-License-Identifier: MIT
// The paths without contention; robust_mutex_slow.cpp has the others.
#include <robust/robust_mutex_access.hpp>

#include <deadbolt/quiescence.hpp>
#include <robust/quiescence.hpp>
#include <sys/message.hpp>

namespace deadbolt {
namespace {

using access = robust_mutex_access;

void require_alignment(const robust_mutex* mutex) noexcept {
  if (__builtin_expect(reinterpret_cast<std::uintptr_t>(mutex) % alignof(robust_mutex) == 0 &&
                           mutex != nullptr,
                       1)) {
    return;
  }
  sys::message{}
      .text("robust_mutex at ")
      .pointer(mutex)
      .text(mutex == nullptr ? " is null" : " is not aligned to 8 bytes")
      .abort();
}

} // namespace

lock_status robust_mutex::lock_status_of_lock() noexcept {
  require_alignment(this);
  const robust::thread_identity self = robust::this_thread();
  access::announce(self, *this);
  if (__builtin_expect(access::take_free_word(self, *this), 1)) {
    return access::settle(self, *this, false);
  }
  return access::lock_slow(self, *this, nullptr);
}

lock_status robust_mutex::lock_status_until(detail::deadline deadline) noexcept {
  require_alignment(this);
  const robust::thread_identity self = robust::this_thread();
  access::announce(self, *this);
  if (access::take_free_word(self, *this)) return access::settle(self, *this, false);
  return access::lock_slow(self, *this, &deadline);
}

unlock_status robust_mutex::unlock() noexcept {
  require_alignment(this);
  const robust::thread_identity self = robust::this_thread();
  const std::uint32_t seen = __atomic_load_n(&word_, __ATOMIC_RELAXED);
  if (__builtin_expect((seen & FUTEX_TID_MASK) != self.tid, 0)) return unlock_status::not_owner;
  if (__builtin_expect(state_ != consistent, 0)) state_ = not_recoverable;
  access::release(self, *this);
  return unlock_status::released;
}

bool robust_mutex::mark_consistent() noexcept {
  if (owner() != static_cast<pid_t>(robust::this_thread().tid) || state_ != inconsistent) {
    return false;
  }
  state_ = consistent;
  return true;
}

pid_t robust_mutex::owner() const noexcept {
  return static_cast<pid_t>(__atomic_load_n(&word_, __ATOMIC_RELAXED) & FUTEX_TID_MASK);
}

robust_mutex::~robust_mutex() {
  const quiescence_result result = wait_for_unlocks(this, sizeof *this);
  if (result.status == quiescence_status::timed_out) {
    robust::abort_in_flight("robust_mutex destroyed", this, result);
  }
}

} // namespace deadbolt
