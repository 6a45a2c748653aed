// SPDX-License-Identifier: MIT
#include <region/sleep.hpp>

#include <base/clock.hpp>
#include <base/futex.hpp>
#include <base/message.hpp>
#include <errno.h>

namespace deadbolt::regions {
namespace {

// Set when the kernel refuses futex_waitv: sleeps are on the first word alone then.
constinit bool no_waitv = false;

} // namespace

std::int64_t sleep_end(const detail::deadline* deadline) noexcept {
  const std::int64_t now = base::now();
  std::int64_t longest = longest_sleep;
  if (deadline != nullptr) {
    const std::int64_t left = deadline->nanoseconds - (deadline->realtime ? base::now(true) : now);
    if (left < longest) longest = left < 0 ? 0 : left;
  }
  return now + longest;
}

bool is_over(const detail::deadline* deadline) noexcept {
  return deadline != nullptr && base::now(deadline->realtime) >= deadline->nanoseconds;
}

bool sleep_on(const watched_word* words, unsigned count, std::int64_t until,
              const void* lock) noexcept {
  long result = -ENOSYS;
  if (!__atomic_load_n(&no_waitv, __ATOMIC_RELAXED)) {
    result = base::futex_wait_any(words, count, until);
  }
  if (result == -ENOSYS || result == -EPERM) {
    __atomic_store_n(&no_waitv, true, __ATOMIC_RELAXED);
    result = base::futex_wait_until(
        reinterpret_cast<const std::uint32_t*>(static_cast<std::uintptr_t>(words[0].address)),
        static_cast<std::uint32_t>(words[0].value), {false, until});
  }
  if (result < 0 && result != -EAGAIN && result != -EINTR && result != -ETIMEDOUT) {
    base::message{}
        .text("sleeping on the lock at ")
        .pointer(lock)
        .text(" failed: error ")
        .number(-result)
        .abort();
  }
  return result == -ETIMEDOUT;
}

} // namespace deadbolt::regions
