// SPDX-License-Identifier: MIT
// deadbolt::shared_mutex, in a region, from each of its sides.
#ifndef DEADBOLT_CRASH_SUBJECTS_SHARED_MUTEX_HPP
#define DEADBOLT_CRASH_SUBJECTS_SHARED_MUTEX_HPP

#include "crash/subjects/region_subject.hpp"

namespace deadbolt::crash {

enum class side : std::uint8_t { writer, reader };

// Not both sides readers: they do not wait for each other.
class shared_mutex_subject : public region_subject {
public:
  constexpr shared_mutex_subject(side victim, side others) : victim_{victim}, others_{others} {}

  [[nodiscard]] std::string_view name() const override;
  [[nodiscard]] std::string_view summary() const override;
  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  void mark_consistent(void* lock) const override;
  grant victims_lock(void* lock) const override;
  bool victims_unlock(void* lock) const override;
  [[nodiscard]] sharing shares() const override;
  void enter_thread(void* scratch) const override;
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;
  [[nodiscard]] grant heir_is_told(const void* lock) const override;

private:
  side victim_;
  side others_;
};

} // namespace deadbolt::crash
#endif
