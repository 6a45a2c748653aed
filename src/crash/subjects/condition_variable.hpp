// SPDX-License-Identifier: MIT
// deadbolt::condition_variable, in a region: a lock whose waiters sleep on one.
#ifndef DEADBOLT_CRASH_SUBJECTS_CONDITION_VARIABLE_HPP
#define DEADBOLT_CRASH_SUBJECTS_CONDITION_VARIABLE_HPP

#include "crash/subjects/region_subject.hpp"

namespace deadbolt::crash {

// What a signaller does last: if it notifies, its death after the change finds waiters that
// nobody has woken; if it unlocks, nothing of the lock is used after the release.
enum class last_step : std::uint8_t { unlock, notify };

// Who may be in is said by a mutex, the door; who wants to come in tries it under another
// mutex and waits on the condition variable when it is closed. Who finds a dead owner's mutex
// repairs it on the way in.
class condition_variable_subject : public untold_region_subject {
public:
  constexpr explicit condition_variable_subject(last_step last) : last_{last} {}

  [[nodiscard]] std::string_view name() const override {
    return last_ == last_step::unlock ? "condition_variable" : "condition_variable_late";
  }
  [[nodiscard]] std::string_view summary() const override {
    return last_ == last_step::unlock
               ? "deadbolt::condition_variable, in a region: notified under the mutex"
               : "deadbolt::condition_variable, in a region: notified after the unlock";
  }
  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  [[nodiscard]] bool by_name_only() const override { return last_ == last_step::notify; }
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;

private:
  last_step last_;
};

} // namespace deadbolt::crash
#endif
