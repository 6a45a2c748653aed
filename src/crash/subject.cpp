// SPDX-License-Identifier: MIT
#include "crash/subject.hpp"

#include <sys/mman.h>

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

grant grant_of(lock_status status) noexcept {
  switch (status) {
  case lock_status::acquired:
    return grant::acquired;
  case lock_status::owner_died:
    return grant::owner_died;
  case lock_status::not_recoverable:
    return grant::not_recoverable;
  case lock_status::busy:
    return grant::busy;
  case lock_status::timed_out:
  case lock_status::deadlock:
  case lock_status::too_many_holds:
  case lock_status::cannot_attach:
    break;
  }
  return grant::failed;
}

void* subject::map_memory(std::size_t length) const {
  void* const memory =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

void subject::unmap_memory(void* memory, std::size_t length) const {
  munmap(memory, length);
}

void subject::enter_thread(void* scratch) const {
  // Bind what is bound lazily and fill what a thread looks up once.
  create(scratch);
  if (held(lock(scratch))) unlock(scratch);
  if (held(try_lock(scratch))) unlock(scratch);
  destroy(scratch);
}

} // namespace deadbolt::crash
