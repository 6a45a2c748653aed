// SPDX-License-Identifier: MIT
#include "crash/subject.hpp"

namespace deadbolt::crash {

std::string_view to_string(grant grant) noexcept {
  switch (grant) {
  case grant::acquired:
    return "acquired";
  case grant::owner_died:
    return "owner died";
  case grant::not_recoverable:
    return "not recoverable";
  case grant::busy:
    return "busy";
  case grant::failed:
    break;
  }
  return "failed";
}

void subject::enter_thread(void* scratch) const {
  // Bind what is bound lazily and fill what a thread looks up once.
  create(scratch);
  if (held(lock(scratch))) unlock(scratch);
  if (held(try_lock(scratch))) unlock(scratch);
  destroy(scratch);
}

} // namespace deadbolt::crash
