// SPDX-License-Identifier: MIT
#include "crash/subjects/counting_semaphore.hpp"

#include <deadbolt/counting_semaphore.hpp>
#include <memory>
#include <new>

namespace deadbolt::crash {
namespace {

using semaphore = counting_semaphore<2>;

semaphore& at(void* lock) noexcept {
  return *static_cast<semaphore*>(lock);
}

} // namespace

std::size_t counting_semaphore_subject::size() const {
  return sizeof(semaphore);
}
void counting_semaphore_subject::create(void* lock) const {
  new (lock) semaphore{permits_};
  if (permits_ == 2) static_cast<void>(at(lock).acquire().status());
}
void counting_semaphore_subject::destroy(void* lock) const {
  std::destroy_at(&at(lock));
}
grant counting_semaphore_subject::lock(void* lock) const {
  return grant_of(at(lock).acquire().status());
}
grant counting_semaphore_subject::try_lock(void* lock) const {
  return grant_of(at(lock).try_acquire().status());
}
bool counting_semaphore_subject::unlock(void* lock) const {
  return at(lock).release() == unlock_status::released;
}
bool counting_semaphore_subject::held_by(const void* lock, pid_t tid) const {
  const std::uint64_t* const words = static_cast<const semaphore*>(lock)->native_handle();
  return owns_word(words, tid) || owns_word(words + 1, tid);
}

} // namespace deadbolt::crash
