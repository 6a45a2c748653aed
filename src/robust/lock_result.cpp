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
  case lock_status::cannot_attach:
    return "cannot_attach";
  case lock_status::interrupted:
    return "interrupted";
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
  base::message line;
  switch (status) {
  case lock_status::owner_died:
    line.text("the last owner of the lock at ")
        .pointer(lock)
        .text(" died, and the program did not examine that result: the data may be half-written. "
              "To use std::scoped_lock or std::unique_lock, wrap the lock in "
              "deadbolt::with_recovery{lock, repair}; else call status() on what lock() returns")
        .abort();
  case lock_status::not_recoverable:
    line.text("the lock at ")
        .pointer(lock)
        .text(" is not recoverable, and the program did not examine that result: its owner died, "
              "and the next one unlocked without mark_consistent()")
        .abort();
  case lock_status::deadlock:
    line.text("the calling thread holds the lock at ")
        .pointer(lock)
        .text(" already, and the program did not examine that result")
        .abort();
  default:
    line.text("locking ")
        .pointer(lock)
        .text(" returned ")
        .text(to_string(status))
        .text(", and the program did not examine that result: call status() on it")
        .abort();
  }
}

} // namespace deadbolt
