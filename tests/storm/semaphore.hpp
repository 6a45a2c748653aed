// SPDX-License-Identifier: MIT
// deadbolt::counting_semaphore with several permits, all of them to be had: crash-test's
// has one for its victim.
#ifndef DEADBOLT_TESTS_STORM_SEMAPHORE_HPP
#define DEADBOLT_TESTS_STORM_SEMAPHORE_HPP

#include "crash/subjects/region_subject.hpp"

#include <deadbolt/counting_semaphore.hpp>
#include <memory>
#include <new>

namespace deadbolt::storm {

template <int Permits>
class semaphore final : public crash::untold_region_subject {
public:
  [[nodiscard]] std::string_view name() const override {
    return Permits == 2 ? "counting_semaphore_2" : "counting_semaphore_3";
  }
  [[nodiscard]] std::string_view summary() const override { return "all permits are free"; }
  [[nodiscard]] std::size_t size() const override { return sizeof(type); }
  void create(void* lock) const override { new (lock) type; }
  void destroy(void* lock) const override { std::destroy_at(&at(lock)); }
  crash::grant lock(void* lock) const override {
    return crash::grant_of(at(lock).acquire().status());
  }
  crash::grant try_lock(void* lock) const override {
    return crash::grant_of(at(lock).try_acquire().status());
  }
  bool unlock(void* lock) const override { return at(lock).release() == unlock_status::released; }
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override {
    for (int i = 0; i < Permits; ++i)
      if (crash::owns_word(static_cast<const type*>(lock)->native_handle() + i, tid)) return true;
    return false;
  }

private:
  static_assert(Permits == 2 || Permits == 3);
  using type = counting_semaphore<Permits>;
  static type& at(void* lock) noexcept { return *static_cast<type*>(lock); }
};

} // namespace deadbolt::storm
#endif
