// SPDX-License-Identifier: MIT
#include "crash/subjects/robust_mutex.hpp"

#include "crash/lock_word.hpp"
#include "robust/engine.hpp"

#include <memory>
#include <new>
#include <type_traits>

namespace deadbolt::crash {
namespace {

template <class Mutex>
constexpr bool inherits_priority = std::is_same_v<Mutex, robust_pi_mutex>;

template <class Mutex>
Mutex& mutex_at(void* lock) noexcept {
  return *static_cast<Mutex*>(lock);
}

} // namespace

template <class Mutex>
std::string_view robust_subject<Mutex>::name() const {
  return inherits_priority<Mutex> ? "robust_pi_mutex" : "robust_mutex";
}

template <class Mutex>
std::string_view robust_subject<Mutex>::summary() const {
  return inherits_priority<Mutex> ? "deadbolt::robust_pi_mutex, with priority inheritance"
                                  : "deadbolt::robust_mutex";
}

template <class Mutex>
std::string_view robust_subject<Mutex>::engine() const {
  return robust::this_engine().name;
}

template <class Mutex>
bool robust_subject<Mutex>::protected_by_itself() const {
  return robust::this_engine().protected_by_kernel;
}

template <class Mutex>
std::size_t robust_subject<Mutex>::size() const {
  return sizeof(Mutex);
}
template <class Mutex>
void robust_subject<Mutex>::create(void* lock) const {
  new (lock) Mutex;
}
template <class Mutex>
void robust_subject<Mutex>::destroy(void* lock) const {
  std::destroy_at(&mutex_at<Mutex>(lock));
}

template <class Mutex>
grant robust_subject<Mutex>::lock(void* lock) const {
  return grant_of(mutex_at<Mutex>(lock).lock().status());
}

template <class Mutex>
grant robust_subject<Mutex>::try_lock(void* lock) const {
  return grant_of(mutex_at<Mutex>(lock).try_lock().status());
}

template <class Mutex>
bool robust_subject<Mutex>::unlock(void* lock) const {
  return mutex_at<Mutex>(lock).unlock() == unlock_status::released;
}

template <class Mutex>
void robust_subject<Mutex>::mark_consistent(void* lock) const {
  mutex_at<Mutex>(lock).mark_consistent();
}

template <class Mutex>
bool robust_subject<Mutex>::held_by(const void* lock, pid_t tid) const {
  return word_names(static_cast<const Mutex*>(lock)->native_handle(), tid);
}

template class robust_subject<robust_mutex>;
template class robust_subject<robust_pi_mutex>;

} // namespace deadbolt::crash
