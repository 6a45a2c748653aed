// SPDX-License-Identifier: MIT
#include "crash/subjects/condition_variable.hpp"

#include <deadbolt/condition_variable.hpp>
#include <memory>
#include <new>

namespace deadbolt::crash {
namespace {

struct house {
  mutex lock; // guards the looks at the door
  mutex door;
  condition_variable opened;
};

house& at(void* lock) noexcept {
  return *static_cast<house*>(lock);
}

// A death inside, with either mutex held, leaves nothing half-written.
grant settle(mutex& held, lock_status status) {
  if (status == lock_status::owner_died && held.mark_consistent()) return grant::acquired;
  return grant_of(status);
}

grant enter(house& in) {
  return settle(in.lock, in.lock.lock().status());
}
grant try_door(house& in) {
  return settle(in.door, in.door.try_lock().status());
}

// What a wait came to, as the relocking of its mutex would say it.
grant wait(house& in) {
  switch (in.opened.wait(in.lock).status()) {
  case wait_status::awake:
    return grant::acquired;
  case wait_status::owner_died:
    return settle(in.lock, lock_status::owner_died);
  case wait_status::not_recoverable:
    return grant::not_recoverable;
  default:
    return grant::failed;
  }
}

} // namespace

std::size_t condition_variable_subject::size() const {
  return sizeof(house);
}
void condition_variable_subject::create(void* lock) const {
  new (lock) house;
}
void condition_variable_subject::destroy(void* lock) const {
  std::destroy_at(&at(lock));
}

grant condition_variable_subject::lock(void* lock) const {
  house& in = at(lock);
  grant entered = enter(in);
  grant door = grant::busy;
  while (entered == grant::acquired && (door = try_door(in)) == grant::busy) entered = wait(in);
  if (entered != grant::acquired) return entered;
  return in.lock.unlock() == unlock_status::released ? door : grant::failed;
}

grant condition_variable_subject::try_lock(void* lock) const {
  house& in = at(lock);
  if (const grant entered = enter(in); entered != grant::acquired) return entered;
  const grant door = try_door(in);
  return in.lock.unlock() == unlock_status::released ? door : grant::failed;
}

bool condition_variable_subject::unlock(void* lock) const {
  house& in = at(lock);
  if (enter(in) != grant::acquired) return false;
  const bool opened = in.door.unlock() == unlock_status::released;
  if (last_ == last_step::unlock) in.opened.notify_one();
  const bool left = in.lock.unlock() == unlock_status::released;
  if (last_ == last_step::notify) in.opened.notify_one();
  return opened && left;
}

bool condition_variable_subject::held_by(const void* lock, pid_t tid) const {
  const auto& in = *static_cast<const house*>(lock);
  return owns_word(in.lock.native_handle(), tid) || owns_word(in.door.native_handle(), tid);
}

} // namespace deadbolt::crash
