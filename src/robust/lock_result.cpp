// SPDX-License-Identifier: MIT
#include <deadbolt/lock_result.hpp>

#include <base/message.hpp>

namespace deadbolt {

const char* DEADBOLT_ABI::to_string(lock_status status) noexcept {
  switch (status) {
  case lock_status::acquired:
    return "acquired";
  case lock_status::owner_died:
    return "owner_died";
  case lock_status::not_recoverable:
    return "not_recoverable";
  case lock_status::busy:
    return "busy";
  case lock_status::timed_out:
    return "timed_out";
  case lock_status::deadlock:
    return "deadlock";
  case lock_status::too_many_holds:
    return "too_many_holds";
  }
  return "not a lock_status";
}

const char* DEADBOLT_ABI::to_string(unlock_status status) noexcept {
  switch (status) {
  case unlock_status::released:
    return "released";
  case unlock_status::not_owner:
    return "not_owner";
  }
  return "not an unlock_status";
}

void detail::abort_unexamined(lock_status status, const void* lock) noexcept {
  base::message{}
      .text("locking ")
      .pointer(lock)
      .text(" gave ")
      .text(to_string(status))
      .text(" and nobody looked: call status() on the result, or wrap the lock in "
            "deadbolt::with_recovery")
      .abort();
}

} // namespace deadbolt
