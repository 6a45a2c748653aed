// SPDX-License-Identifier: MIT
// deadbolt::mutex, in a region.
#ifndef DEADBOLT_CRASH_SUBJECTS_MUTEX_HPP
#define DEADBOLT_CRASH_SUBJECTS_MUTEX_HPP

#include "crash/subjects/region_subject.hpp"

namespace deadbolt::crash {

class mutex_subject final : public region_subject {
public:
  [[nodiscard]] std::string_view name() const override { return "mutex"; }
  [[nodiscard]] std::string_view summary() const override { return "deadbolt::mutex, in a region"; }
  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  void mark_consistent(void* lock) const override;
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;
};

} // namespace deadbolt::crash
#endif
