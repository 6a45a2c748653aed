// SPDX-License-Identifier: MIT
// deadbolt::counting_semaphore, in a region.
#ifndef DEADBOLT_CRASH_SUBJECTS_COUNTING_SEMAPHORE_HPP
#define DEADBOLT_CRASH_SUBJECTS_COUNTING_SEMAPHORE_HPP

#include "crash/subjects/region_subject.hpp"

namespace deadbolt::crash {

// With one permit; or with two, one of which create()'s caller keeps. A dead holder's comes
// back.
class counting_semaphore_subject : public untold_region_subject {
public:
  constexpr explicit counting_semaphore_subject(int permits) : permits_{permits} {}

  [[nodiscard]] std::string_view name() const override {
    return permits_ == 1 ? "counting_semaphore" : "counting_semaphore_pair";
  }
  [[nodiscard]] std::string_view summary() const override {
    return permits_ == 1 ? "deadbolt::counting_semaphore, in a region: its only permit"
                         : "deadbolt::counting_semaphore, in a region: the second of two permits";
  }
  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  [[nodiscard]] bool by_name_only() const override { return permits_ == 2; }
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;

private:
  int permits_;
};

} // namespace deadbolt::crash
#endif
