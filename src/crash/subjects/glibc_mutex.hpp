// SPDX-License-Identifier: MIT
// The libc's own robust mutex: the standing negative control.
#ifndef DEADBOLT_CRASH_SUBJECTS_GLIBC_MUTEX_HPP
#define DEADBOLT_CRASH_SUBJECTS_GLIBC_MUTEX_HPP

#include "crash/subject.hpp"

#include <pthread.h>

namespace deadbolt::crash {

class glibc_mutex : public subject {
public:
  // PTHREAD_PRIO_NONE or PTHREAD_PRIO_INHERIT.
  explicit glibc_mutex(int protocol = PTHREAD_PRIO_NONE) noexcept : protocol_(protocol) {}

  [[nodiscard]] std::string_view name() const override {
    return protocol_ == PTHREAD_PRIO_INHERIT ? "glibc_pi" : "glibc";
  }
  [[nodiscard]] std::string_view summary() const override {
    return protocol_ == PTHREAD_PRIO_INHERIT
               ? "the libc's pthread_mutex_t, robust, process-shared, with priority inheritance"
               : "the libc's pthread_mutex_t, robust and process-shared";
  }
  [[nodiscard]] bool ours() const override { return false; }
  [[nodiscard]] std::string_view engine() const override { return "libc"; }
  [[nodiscard]] bool protected_by_itself() const override { return false; }
  [[nodiscard]] std::size_t size() const override;
  void create(void* lock) const override;
  void destroy(void* lock) const override;
  grant lock(void* lock) const override;
  grant try_lock(void* lock) const override;
  bool unlock(void* lock) const override;
  void mark_consistent(void* lock) const override;
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override;

private:
  int protocol_;
};

} // namespace deadbolt::crash
#endif
