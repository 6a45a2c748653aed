// SPDX-License-Identifier: MIT
// deadbolt::robust_mutex and robust_pi_mutex, with the engine of this process.
#ifndef DEADBOLT_CRASH_SUBJECTS_ROBUST_MUTEX_HPP
#define DEADBOLT_CRASH_SUBJECTS_ROBUST_MUTEX_HPP

#include "crash/subject.hpp"

#include <deadbolt/robust_mutex.hpp>
#include <deadbolt/robust_pi_mutex.hpp>

namespace deadbolt::crash {

template <class Mutex>
class robust_subject final : public subject {
public:
  [[nodiscard]] std::string_view name() const override;
  [[nodiscard]] std::string_view summary() const override;
  [[nodiscard]] bool ours() const override { return true; }
  [[nodiscard]] std::string_view engine() const override;
  [[nodiscard]] bool protected_by_itself() const override;
  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  void mark_consistent(void* lock) const override;
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;
};

using robust_mutex_subject = robust_subject<robust_mutex>;
using robust_pi_mutex_subject = robust_subject<robust_pi_mutex>;
extern template class robust_subject<robust_mutex>;
extern template class robust_subject<robust_pi_mutex>;

} // namespace deadbolt::crash
#endif
